"""However a server is told to end, it is gone in time and leaves nothing behind; turns go on at the next start."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio
import psutil
import pytest

from tests.support.host import Home, Host, environment, living, open_host, until
from tests.support.journey import Scene, call, calls, open_scene, raw, release, says, work_done

pytestmark = pytest.mark.anyio

WITHIN_SECONDS = 2.5
"""Two, and a little for a busy machine."""

Way = Literal["eof", "term", "int", "int then term"]
WAYS: dict[Way, int] = {"eof": 0, "term": 128 + 15, "int": 128 + 2, "int then term": 128 + 2}
RULES = {
    "hold": [calls(call("look", item="a", hold=True)), says("Seen.")],
    "think": [says("A thought.", delay_seconds=5)],
    "quick": [says("Quick.")],
}


async def tell_to_end(host: Host, way: Way) -> None:
    """As hosts do it."""
    match way:
        case "eof":
            await host.server.close_stdin()
        case "term":
            host.server.signal(signal.SIGTERM)
        case "int":
            host.server.signal(signal.SIGINT)
        case "int then term":
            host.server.signal(signal.SIGINT)
            await anyio.sleep(0.1)  # what Claude Code does
            host.server.signal(signal.SIGTERM)


@asynccontextmanager
async def in_the_middle(scene: Scene, message: str, begun: str) -> AsyncGenerator[Host]:
    """A host whose server runs a turn, in the middle of a tool call or of a reply."""
    async with open_host(scene.home) as host:
        await host.call("start_session", session_id="s1", message=message, wait_seconds=0)
        if begun == "call":
            await until(lambda: work_done(scene.home) == ["look a"])
        else:
            await until(lambda: bool(scene.model.requests))
        yield host


async def assert_ends_cleanly(host: Host, way: Way) -> None:
    """In time, with the right status, and with no process left."""
    family = host.server.descendants()
    assert family, "there must be something to leave behind"
    began = time.monotonic()
    await tell_to_end(host, way)
    status = await host.server.exit(within_seconds=WITHIN_SECONDS + 2)
    assert time.monotonic() - began < WITHIN_SECONDS
    assert status == WAYS[way]
    assert living(family) == []
    assert "Traceback" not in host.server.stderr


@pytest.mark.parametrize("way", list(WAYS))
async def test_it_ends_in_time_in_the_middle_of_a_tool_call(tmp_path: Path, way: Way) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene:
            async with in_the_middle(scene, "hold", "call") as host:
                await assert_ends_cleanly(host, way)
            release(scene.home, "a")
            async with open_host(scene.home) as host:
                ended = await host.call("send_message", session_id="s1")
    assert (ended["text"], ended["turn"]) == ("Seen.", 1)


@pytest.mark.parametrize("way", ["eof", "term"])
async def test_it_ends_in_time_in_the_middle_of_a_reply(tmp_path: Path, way: Way) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene:
            async with in_the_middle(scene, "think", "reply") as host:
                await assert_ends_cleanly(host, way)
            scene.model.script = type(scene.model.script)()  # from here on every answer is "Done."
            async with open_host(scene.home) as host:
                ended = await host.call("send_message", session_id="s1")
    assert (ended["text"], ended["turn"]) == ("Done.", 1)


@pytest.mark.parametrize("way", ["eof", "int then term"])
async def test_servers_that_will_not_go_are_killed_with_their_children(tmp_path: Path, way: Way) -> None:
    stubborn = {name: raw("--stubborn", "--linger") for name in ("one", "two")}
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene:
            scene.home.config["mcpServers"] |= stubborn
            async with in_the_middle(scene, "hold", "call") as host:
                assert len(host.server.descendants()) >= 5
                await assert_ends_cleanly(host, way)


async def test_it_ends_in_time_while_servers_still_start(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene:
            scene.home.config["mcpServers"] |= {"slow": raw("--hang")}
            async with open_host(scene.home) as host:
                await host.call("start_session", session_id="s1", message="quick", wait_seconds=0)
                await until(lambda: any("--hang" in " ".join(p.cmdline()) for p in host.server.descendants()))
                await assert_ends_cleanly(host, "eof")


async def test_it_ends_when_the_process_that_started_it_is_gone(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene:
            scene.home.write()
            pid = start_and_die(scene.home)
            server = psutil.Process(pid)
            await until(lambda: not living([server]), seconds=8)


def start_and_die(home: Home) -> int:
    """Have a short-lived host start a server whose stdin outlives it; returns the server's pid."""
    program = (
        "import subprocess, sys, os, time\n"
        "reader, writer = os.pipe()\n"
        "os.set_inheritable(writer, True)\n"
        "server = subprocess.Popen(sys.argv[1:], stdin=reader, stdout=subprocess.PIPE, close_fds=False)\n"
        "hello = {'jsonrpc': '2.0', 'id': 1, 'method': 'initialize', 'params': {'protocolVersion': '2025-06-18',"
        " 'capabilities': {}, 'clientInfo': {'name': 'h', 'version': '1'}}}\n"
        "import json\n"
        "os.write(writer, (json.dumps(hello) + '\\n').encode())\n"
        "server.stdout.readline()\n"
        "print(json.dumps(server.pid), flush=True)\n"
        "os._exit(0)\n"
    )
    arguments = [sys.executable, "-m", "agent_mcp", "serve", "--config", str(home.config_file)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=20,
    )
    return int(json.loads(done.stdout))
