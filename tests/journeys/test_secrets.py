"""What servers and models were told in confidence is in no result, no log and no store, whoever repeats it."""

import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from tests.support.host import ROOT, Home, Host, environment, open_client, open_server
from tests.support.journey import calls, open_scene, says
from tests.support.model_script import Call, Fault

pytestmark = pytest.mark.anyio

IN_HEADER, IN_ENV, IN_URL, IN_ARGS = "told-in-header", "told-in-env", "told-in-url", "told-in-args"
SECRETS = (IN_HEADER, IN_ENV, IN_URL, IN_ARGS)
_TELLTALE = "import os, sys; print(dict(os.environ), sys.argv, file=sys.stderr, flush=True); sys.exit(3)"


async def _repeat(stream: ByteStream) -> None:
    """Refuse a request with all that it said."""
    async with stream:
        request = await stream.receive()
        answer = b"401 no: " + request[:4] + b" " + IN_HEADER.encode() + b" " + IN_URL.encode()
        head = f"HTTP/1.1 401 No\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
        await stream.send(head.encode() + answer)


def _servers(port: int) -> dict[str, Any]:
    arguments = ["-c", _TELLTALE, "--token", IN_ARGS]
    env = {"DATABASE_URL": f"postgres://u:{IN_ENV}@h/d"}
    url = f"http://u:{IN_URL}@127.0.0.1:{port}/mcp"
    return {
        "child": {"command": sys.executable, "args": arguments, "env": env},
        "web": {"url": url, "headers": {"X-Key": IN_HEADER}},
    }


def _files(folder: Path) -> list[bytes]:
    """The store's files."""
    return [file.read_bytes() for file in folder.glob("sessions.db*") if file.is_file()]


@asynccontextmanager
async def _telltale() -> AsyncGenerator[int]:
    """The port of a server that repeats what it was told."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, _repeat)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def test_what_was_told_in_confidence_is_cut_out_of_what_servers_and_models_say(tmp_path: Path) -> None:
    said = f"you sent {IN_HEADER} and {IN_URL}"
    rules = {"": [says("", fault=Fault(kind="status", status=400, message=said))]}
    with anyio.fail_after(30):
        async with _telltale() as port, open_scene(tmp_path, rules) as scene:
            address = f"http://u:{IN_URL}@127.0.0.1:{scene.model.port}/v1"
            entry = {"use": "openai-chat:m", "base_url": address, "headers": {"X-Key": IN_HEADER}}
            scene.home.config = {"mcpServers": _servers(port), "models": {"mine": entry}}
            scene.home.environ |= {"AGENT_MCP_MODEL": "mine", "AGENT_MCP_LOG_LEVEL": "DEBUG"}
            async with open_server(scene.home) as server, open_client(server) as host:
                turn = await host.call("start_session", session_id="s1", message="task")
    assert turn["error"]["message"].endswith("you sent *** and ***")
    assert ["exited with code 3" in w or "HTTP 401" in w for w in turn["warnings"]] == [True, True]
    places = [str(turn).encode(), bytes(server.stdout), server.stderr.encode()]
    places += _files(tmp_path)
    assert [secret for secret in SECRETS for place in places if secret.encode() in place] == []


PLANTED = {
    "PLANTED_BY_NAME_TOKEN": "by-name-4711-aa",
    "PLANTED_PLAIN": "from-a-file-0815-bb",
    "PLANTED_INHERITED_KEY": "inherited-3141-cc",
    "as an argument": "argument-2718-dd",
    "as a model's key": "model-key-1618-ee",
    "as a header": "header-1414-ff",
    "in an address": "address-1732-gg",
}
TELLS = ["tell", "blob", "refuse"]


def _plant(home: Home, model_port: int, web_port: int) -> None:
    """A config in which each of the secrets has its place."""
    secret = PLANTED
    for name, key in (("plain.txt", "PLANTED_PLAIN"), ("key.txt", "as a model's key")):
        (home.folder / "told").mkdir(exist_ok=True)
        (home.folder / "told" / name).write_text(secret[key])
    tell: dict[str, Any] = {
        "command": sys.executable,
        "args": ["-m", "tests.support.servers.telltale", "--token", secret["as an argument"]],
        "cwd": str(ROOT),
        "env": {"PLANTED_BY_NAME_TOKEN": "${BY_NAME}", "PLANTED_PLAIN": "${file:told/plain.txt}"},
        "inherit_env": ["PLANTED_INHERITED_KEY"],
        "instructions": True,
    }
    web = {
        "url": f"http://u:{secret['in an address']}@127.0.0.1:{web_port}/mcp",
        "headers": {"X-Session": secret["as a header"]},
    }
    failing = {**tell, "args": ["-c", _TELLTALE, "--token", secret["as an argument"]]}
    model = {
        "use": "openai-chat:m",
        "base_url": f"http://127.0.0.1:{model_port}/v1",
        "api_key_file": "told/key.txt",
    }
    home.config = {
        "mcpServers": {"tell": tell, "web": web, "failing": failing},
        "models": {"mine": model},
        "agents": {"a": {"description": "tells", "servers": ["tell", "web", "failing"]}},
    }
    home.environ |= {
        "AGENT_MCP_MODEL": "mine",
        "AGENT_MCP_LOG_LEVEL": "DEBUG",
        "BY_NAME": secret["PLANTED_BY_NAME_TOKEN"],
        "PLANTED_INHERITED_KEY": secret["PLANTED_INHERITED_KEY"],
    }
    home.write()


def _command_line(home: Home, *arguments: str) -> bytes:
    command = [sys.executable, "-m", "agent_mcp", *arguments, "--config", str(home.config_file)]
    done = subprocess.run(
        command, env=environment(home), cwd=ROOT, capture_output=True, timeout=30, check=False
    )
    return done.stdout + done.stderr


async def _all_a_host_can_read(host: Host, agent: str) -> list[bytes]:
    """Results of every kind and every resource."""
    read: list[object] = [
        await host.call("start_session", session_id="s1", agent=agent, message="task", wait_seconds=20)
    ]
    read += [await host.call("summary", session_id="s1", detail=detail) for detail in ("steps", "full")]
    read += [await host.call("list_sessions"), await host.call("fork_session", session_id="s1")]
    listed = (await host.client.list_resources()).resources
    uris = [*(str(one.uri) for one in listed), "session://s1/steps/0"]
    read += [await host.client.read_resource(uri) for uri in uris]
    return [str(one).encode() for one in read]


def _forms(secret: str) -> list[bytes]:
    encoded = [
        b64encode(f"{pad}{secret}".encode())[len(pad) + 1 :].rstrip(b"=")[:-2] for pad in ("", "u", "uu")
    ]
    return [secret.encode(), quote(secret, safe="").encode(), secret.encode().hex().encode(), *encoded]


def _files_of(home: Home) -> list[bytes]:
    """Everything that the run has left behind; not the config, nor the files that it names."""
    files = [file for file in home.folder.rglob("*") if file.is_file() and file.parent.name != "told"]
    assert home.store in files
    return [file.read_bytes() for file in files if file != home.config_file]


async def test_no_planted_secret_is_in_any_file_or_stream_of_a_whole_run(tmp_path: Path) -> None:
    key = PLANTED["as a model's key"]
    tells = calls(*(Call(name=f"tell__{name}") for name in TELLS), text=f"with {key}")
    fault = Fault(kind="status", status=400, message=f"{'z' * 590} the key {key} is no good")
    with anyio.fail_after(60):
        async with _telltale() as port, open_scene(tmp_path, {"": [tells, says("", fault=fault)]}) as scene:
            home = scene.home
            _plant(home, scene.model.port, port)
            async with open_server(home) as server, open_client(server) as host:
                read = await _all_a_host_can_read(host, "a")
            for arguments in (
                ("doctor",),
                ("doctor", "--json"),
                ("sessions", "show", "s1"),
                ("sessions", "export", "s1"),
            ):
                read.append(await anyio.to_thread.run_sync(_command_line, home, *arguments))
            asked = [request.body for request in scene.model.requests]
    places = [*read, *asked, bytes(server.stdout), server.stderr.encode()]
    places += _files_of(home)
    assert b"***" in b"".join(read) and len(asked) == 2
    assert b"as an argument" not in b"".join(places)
    found = [
        (name, place[:80])
        for name, told in PLANTED.items()
        for place in places
        for form in _forms(told)
        if form in place
    ]
    assert found == []
