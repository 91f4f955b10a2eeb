"""`agent-mcp chat` as a person at a terminal and as a script with a pipe see it."""

import json
import os
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_mcp.sessions.answering import INPUT_SECONDS
from tests.cli.conftest import DESK, PROGRAM, TIMEOUT_SECONDS, Machine
from tests.support.host import ROOT

COUNT = '/call desk__count_words {"text": "a b c"}\n'
NOTE = '/call desk__add_note {"text": "milk"}\n'
ORDER = "/call shop__order {}\n"
SHOP: dict[str, Any] = {
    "mcpServers": {
        "shop": {"command": sys.executable, "args": ["-m", "tests.support.servers.sdk"], "cwd": str(ROOT)}
    }
}
CONFIG: dict[str, Any] = {
    "mcpServers": {"desk": DESK},
    "agents": {"clerk": {"servers": ["desk"], "approvals": {"ask": ["desk__add_note"]}}},
}


def pipe(
    machine: Machine, said: str, *arguments: str, content: dict[str, Any] = CONFIG
) -> subprocess.CompletedProcess[str]:
    """The chat with a pipe on stdin."""
    config = machine.write_config(content)
    return machine.run("chat", "--config", str(config), *arguments, stdin=said)


def test_each_line_of_a_pipe_is_a_message_and_stdout_holds_answers_alone(machine: Machine) -> None:
    done = pipe(machine, f"hello\n\n{COUNT}")
    assert done.returncode == 0
    assert "To call a tool" in done.stdout and "\n3 words\n" in done.stdout
    assert "desk__count_words:" not in done.stdout and "> " not in done.stdout
    for part in ("-> desk__count_words", "<- desk__count_words: ok", "cost unknown"):
        assert part in done.stderr


def test_a_session_is_gone_on_with(machine: Machine) -> None:
    pipe(machine, COUNT, "--agent", "clerk")
    row = machine.run("sessions", "list").stdout.splitlines()[1].split()
    assert pipe(machine, COUNT, "--session", row[0]).returncode == 0
    assert machine.run("sessions", "list").stdout.splitlines()[1].split()[2] == "2"


@pytest.mark.parametrize("option", ["--session", "--agent"])
def test_what_does_not_exist_ends_the_chat_before_it_begins(machine: Machine, option: str) -> None:
    done = pipe(machine, "hello\n", option, "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody" in done.stderr.splitlines()[-1]
    assert machine.run("sessions", "list").stdout == "no sessions yet\n"


def test_without_a_terminal_nobody_is_asked_and_the_turn_rests(machine: Machine) -> None:
    done = pipe(machine, f"{NOTE}y\n", "--agent", "clerk")
    assert done.returncode == 1
    assert " approvals allow call_" in done.stderr and '{"text": "milk"}' in done.stderr
    waiting = machine.run("approvals").stdout.splitlines()
    assert machine.run("approvals", "allow", waiting[0]).returncode == 0
    session = waiting[1].split()[1]
    assert "kept as note 1" in pipe(machine, "", "--session", session).stdout


def test_what_it_says_to_type_next_reads_the_same_config_and_store(machine: Machine) -> None:
    elsewhere = {**CONFIG, "store": f"sqlite:///{machine.home}/elsewhere.db"}
    resting = pipe(machine, NOTE, "--agent", "clerk", content=elsewhere).stderr
    allow, go_on = (shlex.split(command) for command in re.findall("`agent-mcp (.+?)`", resting))
    listed = machine.run("approvals", "--config", allow[1]).stdout
    assert f"answer with: agent-mcp --config {allow[1]} approvals" in listed
    assert machine.run(*allow).returncode == 0
    assert "kept as note 1" in machine.run(*go_on).stdout


def test_in_a_pipe_a_servers_question_is_dismissed_at_once(machine: Machine) -> None:
    began = time.monotonic()
    done = pipe(machine, ORDER, content=SHOP)
    assert time.monotonic() - began < INPUT_SECONDS / 2
    assert (done.returncode, "declined" in done.stdout) == (0, True)
    assert 'the server "shop" asks: how many?' in done.stderr


class Terminal:
    """A person at a terminal."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self.process = process
        self.seen = ""

    def type(self, keys: str) -> None:
        """Press keys; `\\x03` is Ctrl-C, `\\x04` Ctrl-D."""
        os.write(self._fd, keys.encode())

    def see(self, part: str) -> str:
        """Wait until the screen shows it; what was shown up to its end."""
        until = time.monotonic() + TIMEOUT_SECONDS
        while part not in self.seen:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"never saw {part!r} in {self.seen!r}"
            try:
                self.seen += os.read(self._fd, 65536).decode()
            except OSError:
                pytest.fail(f"the chat ended without {part!r}: {self.seen!r}")
        shown, self.seen = self.seen.split(part, 1)
        return shown + part


@contextmanager
def terminal(machine: Machine, config: Path, *arguments: str) -> Generator[Terminal]:
    """The chat on a pseudo-terminal of its own, which Ctrl-C reaches as in a shell."""
    import pty

    leader, follower = pty.openpty()
    code = "import os,fcntl,termios,sys; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *PROGRAM, "chat", "--config", str(config), *arguments],
        env=machine.environ,
        cwd=machine.home,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    try:
        yield Terminal(leader, process)
    finally:
        process.kill()
        process.wait()
        os.close(leader)


on_a_terminal = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind"
)


@on_a_terminal
@pytest.mark.parametrize("leaving", ["/exit\n", "\x04", "\x03"])
def test_a_person_is_asked_for_approval_and_leaves_with_0(machine: Machine, leaving: str) -> None:
    with terminal(machine, machine.write_config(CONFIG), "--agent", "clerk") as screen:
        screen.see("> ")
        screen.type(NOTE)
        assert 'waits for approval: {"text": "milk"}' in screen.see("[y/n] ")
        screen.type("what?\n")
        screen.see("[y/n] ")
        screen.type("y\n")
        assert "kept as note 1" in screen.see("tokens in")
        screen.see("> ")
        screen.type(leaving)
        screen.see(" chat --session s-")
        assert screen.process.wait(timeout=10) == 0


@on_a_terminal
def test_ctrl_c_cancels_the_turn_and_not_the_chat(machine: Machine) -> None:
    script = {"replies": [{"text": "late", "delay_seconds": 60}]}
    (machine.home / "script.json").write_text(json.dumps(script))
    config = machine.write_config({"defaults": {"model": f"scripted:{machine.home / 'script.json'}"}})
    with terminal(machine, config) as screen:
        screen.see("> ")
        screen.type("hello\n")
        screen.see("hello\r\n")
        # The turn must have begun: the session is in the store from then on.
        until = time.monotonic() + 20
        while "running" not in machine.run("sessions", "list", "--config", str(config)).stdout:
            assert time.monotonic() < until
        screen.type("\x03")
        screen.see("cancelled")
        screen.see("> ")
        assert screen.process.poll() is None
        screen.type("\x04")
        assert screen.process.wait(timeout=10) == 0


@on_a_terminal
def test_ctrl_c_at_the_question_cancels_the_turn(machine: Machine) -> None:
    with terminal(machine, machine.write_config(CONFIG), "--agent", "clerk") as screen:
        screen.see("> ")
        screen.type(NOTE)
        screen.see("[y/n] ")
        screen.type("\x03")
        screen.see("cancelled")
        screen.see("> ")
        screen.type("/exit\n")
        assert screen.process.wait(timeout=10) == 0
    assert machine.run("approvals").stdout == "no call waits for approval\n"


@on_a_terminal
def test_a_person_answers_what_a_server_asks_or_cancels_the_turn_there(machine: Machine) -> None:
    with terminal(machine, machine.write_config(SHOP)) as screen:
        screen.see("> ")
        screen.type(ORDER)
        assert 'the server "shop" asks: how many?' in screen.see("[y/n] ")
        screen.type("y\n")
        screen.see("n (N): ")
        screen.type("4\n")
        assert "accepted 4" in screen.see("tokens in")
        screen.see("> ")
        screen.type(ORDER)
        screen.see("[y/n] ")
        screen.type("\x03")
        screen.see("cancelled")
        screen.see("> ")
        screen.type("/exit\n")
        assert screen.process.wait(timeout=10) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux that takes nothing")
def test_a_turn_ends_well_though_its_answer_can_be_shown_to_nobody(machine: Machine) -> None:
    config = machine.write_config(CONFIG)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "chat", "--config", str(config)],
            env=machine.environ,
            cwd=machine.home,
            input="hello\n",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "No space left" in line
