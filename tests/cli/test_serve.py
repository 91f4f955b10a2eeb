"""The server as a host starts and ends it: real pipes, real signals, real children."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from agent_mcp.cli.lifetime import END_SECONDS
from tests.cli.conftest import DESK, PROGRAM, Machine

STUBBORN = {
    "command": sys.executable,
    "args": ["-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"],
}
SLACK_SECONDS = 0.6
"""For a busy test machine."""


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=2)
    assert alive == []


def test_no_command_means_serve_and_it_answers_in_the_old_era(machine: Machine) -> None:
    with machine.serve() as host:
        assert host.initialize()["serverInfo"]["name"] == "agent-mcp"
        host.request("tools/list", {})
        assert len(host.receive()["result"]["tools"]) == 8


def test_it_answers_in_the_new_era(machine: Machine) -> None:
    meta: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    with machine.serve() as host:
        host.request("tools/list", {"_meta": meta})
        assert len(host.receive()["result"]["tools"]) == 8


def test_the_end_of_stdin_ends_it_with_0_and_open_calls_are_still_answered(machine: Machine) -> None:
    with machine.serve() as host:
        host.initialize()
        call = host.begin_call("list_sessions")
        host.hang_up()
        (answer,) = host.rest()
        assert (answer["id"], answer["result"]["structuredContent"]["sessions"]) == (call, [])
        assert host.process.wait(timeout=10) == 0


def test_no_input_at_all_ends_it_with_0_and_no_output(machine: Machine) -> None:
    done = machine.run("serve")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("signals", "status"),
    [
        ([signal.SIGTERM], 143),
        ([signal.SIGINT], 130),
        ([signal.SIGHUP], 129),
        ([signal.SIGINT, signal.SIGTERM], 130),
    ],
)
def test_a_signal_ends_it_in_time_and_leaves_no_child(
    machine: Machine, signals: list[signal.Signals], status: int
) -> None:
    config = machine.write_config({"defaults": {}, "mcpServers": {"desk": DESK, "stubborn": STUBBORN}})
    with machine.serve("serve", "--config", str(config)) as host:
        host.initialize()
        result = host.call(
            "start_session", session_id="a", message="/call desk__list_notes {}", wait_seconds=0.5
        )
        assert result["status"] == "running"
        started = children(host.process.pid)
        assert started
        begun = time.monotonic()
        for number in signals:
            host.process.send_signal(number)
            time.sleep(0.1)
        assert host.process.wait(timeout=10) == status
        assert time.monotonic() - begun < END_SECONDS + SLACK_SECONDS
        assert_gone(started)
        assert "Traceback" not in host.errors()


def test_a_turn_that_a_signal_broke_off_goes_on_at_the_next_start(machine: Machine) -> None:
    slow = {"replies": [{"text": "one", "delay_seconds": 1.5}]}
    machine.write_config(slow, "script.json")
    config = machine.write_config({"defaults": {"model": "scripted:script.json"}})
    with machine.serve("serve", "--config", str(config)) as host:
        host.initialize()
        host.call("start_session", session_id="a", message="go", wait_seconds=0)
        host.process.terminate()
        assert host.process.wait(timeout=10) == 143
    with machine.serve("serve", "--config", str(config)) as host:
        host.initialize()
        result = host.call("send_message", session_id="a", wait_seconds=20)
        assert (result["stop_reason"], "one" in result["text"]) == ("end_turn", True)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
def test_on_a_terminal_it_says_that_it_waits_for_a_host_and_ctrl_c_ends_it(machine: Machine) -> None:
    person, terminal = os.openpty()
    with subprocess.Popen(
        PROGRAM,
        env=machine.environ,
        cwd=machine.home,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert "MCP server" in line and "agent-mcp demo" in line and "Ctrl-C" in line
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
    os.close(person)
    os.close(terminal)


def test_a_host_that_closes_our_stdout_ends_it(machine: Machine) -> None:
    with machine.serve() as host:
        host.initialize()
        assert host.process.stdout is not None
        host.process.stdout.close()
        host.begin_call("list_sessions")
        assert host.process.wait(timeout=10) == 0


def test_a_host_that_does_not_read_cannot_hold_it_back(machine: Machine) -> None:
    with machine.serve() as host:
        host.initialize()
        for _ in range(40):  # far more than a pipe holds
            host.request("tools/list", {})
        host.process.terminate()
        begun = time.monotonic()
        assert host.process.wait(timeout=10) == 143
        assert time.monotonic() - begun < END_SECONDS + SLACK_SECONDS


def test_the_death_of_the_parent_ends_it_although_stdin_stays_open(machine: Machine) -> None:
    reading, writing = os.pipe()
    program = f"""
import subprocess, time
print(subprocess.Popen({PROGRAM!r}).pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=reading,
        stdout=subprocess.PIPE,
        env=machine.environ,
        cwd=machine.home,
    )
    try:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        wait_until_it_watches(server)
        parent.kill()
        server.wait(timeout=10)
    finally:
        parent.kill()
        parent.communicate()
        os.close(reading)
        os.close(writing)


def wait_until_it_watches(server: psutil.Process) -> None:
    """The store's file is opened after the watch has begun."""
    deadline = time.monotonic() + 20
    while not any(file.path.endswith("sessions.db") for file in server.open_files()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_but_messages_comes_out_on_stdout_whatever_prints(machine: Machine) -> None:
    site = machine.home / "noise"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import atexit, builtins, os\n"
        "real = builtins.__import__\n"
        "def loud(name, *rest, **named):\n"
        "    if name.startswith(('agent_mcp.bootstrap', 'sqlite3')):\n"
        "        print('a library prints', name); os.write(1, b'and a child writes\\n')\n"
        "    return real(name, *rest, **named)\n"
        "builtins.__import__ = loud\n"
        "atexit.register(print, 'at the end too')\n"
    )
    with machine.serve("serve", PYTHONPATH=str(site)) as host:
        host.initialize()
        host.call("list_sessions")
        host.hang_up()
        assert host.rest() == []
        assert host.process.wait(timeout=10) == 0
        errors = host.errors()
        assert "a library prints" in errors and "and a child writes" in errors and "at the end too" in errors


def test_lines_that_are_no_message_cost_nothing(machine: Machine) -> None:
    with machine.serve() as host:
        host.initialize()
        assert host.process.stdin is not None
        host.process.stdin.write(b'\n  \nnonsense\n{"jsonrpc": 3}\n\xff\xfe\n')
        assert host.call("list_sessions")["sessions"] == []


def test_a_message_of_five_megabytes_is_refused_and_the_server_lives(machine: Machine) -> None:
    with machine.serve() as host:
        host.initialize()
        refused = host.call("start_session", message="x" * 5_000_000)
        assert refused["error"]["code"] == "INVALID_ARGUMENT"
        assert host.call("list_sessions")["sessions"] == []


def test_broken_servers_are_warnings_and_the_rest_is_served(machine: Machine) -> None:
    servers = {
        "desk": DESK,
        "unset": {"command": "x", "env": {"KEY": "${NOT_SET_ANYWHERE}"}},
        "gone": {"command": "no-such-program-anywhere"},
        "silent": {"command": sys.executable, "args": ["-c", "input()"], "connect_timeout": 1},
    }
    config = machine.write_config({"mcpServers": servers})
    with machine.serve("serve", "--config", str(config)) as host:
        host.initialize()
        result = host.call("start_session", message='/call desk__count_words {"text": "a b c"}')
        assert "3 words" in result["text"]
        warnings = "\n".join(result["warnings"])
        for word in ("unset", "env.KEY", "NOT_SET_ANYWHERE", "no-such-program-anywhere", "silent"):
            assert word in warnings
