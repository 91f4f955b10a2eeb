"""Child processes: what they say when they die, and that nothing of them is left."""

import os
import signal
import sys
from pathlib import Path

import anyio
import psutil
import pytest

from agent_mcp.config.blot import Blot
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream import stdio
from agent_mcp.downstream.faults import ConnectionLostError
from agent_mcp.downstream.stdio import Launch, StdioWire, open_stdio
from agent_mcp.downstream.wire import JsonObject
from tests.downstream.conftest import ROOT, hub_of, scope, wait_dead

pytestmark = pytest.mark.anyio


def _raw(*flags: str) -> Launch:
    return Launch([sys.executable, "-m", "tests.support.servers.raw", *flags], dict(os.environ), str(ROOT))


def _python(code: str) -> Launch:
    return Launch([sys.executable, "-c", code], dict(os.environ))


async def _read_all(wire: StdioWire) -> list[JsonObject]:
    messages: list[JsonObject] = []
    await wire.listen(lambda message, stream=None, /: messages.append(message))
    return messages


async def test_exit_code_and_last_lines_of_stderr_are_known() -> None:
    code = "import sys; print('one', file=sys.stderr); sys.exit('no api key')"
    with anyio.fail_after(5):
        async with open_stdio(_python(code)) as wire:
            await _read_all(wire)
            assert await wire.last_words() == "it exited with code 1; stderr: one | no api key"


async def test_the_signal_that_killed_it_is_named() -> None:
    with anyio.fail_after(5):
        async with open_stdio(_python("import time; time.sleep(60)")) as wire:
            os.kill(wire.pid, signal.SIGKILL)
            await _read_all(wire)
            assert await wire.last_words() == "it was killed by SIGKILL"


async def test_other_lines_on_stdout_and_batches_are_tolerated() -> None:
    code = r"""print('hello\n{"a": 1}\n{not json\n[{"b": 2}, 3]\n\n"text"\n{"last": 1}', end='')"""
    with anyio.fail_after(5):
        async with open_stdio(_python(code)) as wire:
            assert await _read_all(wire) == [{"a": 1}, {"b": 2}, {"last": 1}]


async def test_a_line_of_ten_megabytes_arrives_whole() -> None:
    code = "import json; print(json.dumps({'x': 'y' * 10_000_000}))"
    with anyio.fail_after(10):
        async with open_stdio(_python(code)) as wire:
            [message] = await _read_all(wire)
            assert len(message["x"]) == 10_000_000


async def test_an_exit_is_seen_though_a_child_of_the_server_holds_its_stdout() -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '300'])"
    with anyio.fail_after(5):
        async with open_stdio(_python(code)) as wire:
            await _read_all(wire)
            assert await wire.last_words() == "it exited with code 0"


async def test_sending_to_a_dead_process_is_known_not_to_have_happened() -> None:
    with anyio.fail_after(5):
        async with open_stdio(_python("")) as wire:
            await _read_all(wire)
            with pytest.raises(ConnectionLostError) as caught:
                await wire.send({"id": 1})
            assert caught.value.sent is False


async def test_a_server_that_ignores_everything_is_gone_in_a_second_and_a_half(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = 0.0
    with anyio.fail_after(10):
        async with open_stdio(_raw("--stubborn", "--pid-file", str(pid_file))) as wire:
            # It answers, so its signal handler is in place.
            await wire.send({"jsonrpc": "2.0", "id": 1, "method": "initialize"})
            with anyio.move_on_after(1):
                await wire.listen(lambda _, stream=None, /: None)
            started = anyio.current_time()
    assert anyio.current_time() - started < 1.5
    assert await wait_dead(int(pid_file.read_text()))


@pytest.mark.parametrize("way", ["return", "raise", "cancel"])
async def test_no_grandchild_survives_any_way_out(way: str) -> None:
    code = "import subprocess, sys; subprocess.Popen(['sleep', '300']); sys.stdin.read()"
    grandchildren: list[psutil.Process] = []
    with anyio.fail_after(10), anyio.CancelScope() as around:
        try:
            async with open_stdio(_python(code)) as wire:
                while not grandchildren:
                    grandchildren = psutil.Process(wire.pid).children()
                    await anyio.sleep(0.01)
                if way == "raise":
                    raise RuntimeError
                if way == "cancel":
                    around.cancel()
                    await anyio.sleep_forever()
        except* RuntimeError:
            pass
    assert await wait_dead(grandchildren[0].pid)


async def test_what_cannot_be_started_raises_what_the_system_says() -> None:
    with pytest.raises(FileNotFoundError):
        async with open_stdio(Launch(["/nowhere/nothing"], {})):
            pass


async def test_a_secret_that_a_line_is_cut_through_is_hidden_first() -> None:
    code = "import sys; print('y' * 490 + 'tell-nobody-0123456789', file=sys.stderr)"
    launch = Launch([sys.executable, "-c", code], dict(os.environ), hide=Blot(["tell-nobody-0123456789"]))
    with anyio.fail_after(10):
        async with open_stdio(launch) as wire:
            await _read_all(wire)
            words = await wire.last_words()
    assert words.endswith("y***")


async def test_a_message_without_end_ends_the_connection_and_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stdio, "MESSAGE_BYTES", 100_000)
    code = "import sys\nwhile True: sys.stdout.write('x' * 4096)"
    with anyio.fail_after(10):
        async with hub_of(s=ServerEntry(command=sys.executable, args=("-c", code))) as hub:
            (warning,) = (await hub.open_toolbox(scope("s"))).warnings
    assert "a message of more than 100000 bytes" in warning
