"""`agent-mcp approvals`: waiting calls answered from a second process, whether or not a server runs."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import DESK, Machine

ASK = 'note it\n/call desk__add_note {"text": "buy \\u001b[2J milk"}'
CONFIG: dict[str, Any] = {
    "mcpServers": {"desk": DESK},
    "defaults": {"approvals": {"ask": ["desk__add_note"]}},
}


@pytest.fixture
def config(machine: Machine) -> Path:
    return machine.write_config(CONFIG)


def waiting_call(machine: Machine, config: Path) -> str:
    """The id of the only call that waits, from what the command prints."""
    done = machine.run("approvals", "--config", str(config))
    assert done.returncode == 0
    (call_id,) = re.findall(r"^(call_\S+)$", done.stdout, flags=re.MULTILINE)
    return call_id


def start_and_leave(machine: Machine, config: Path) -> str:
    """A session whose call waits and whose server is gone; the id of the call."""
    with machine.serve("--config", str(config)) as host:
        host.initialize()
        assert host.call("start_session", session_id="one", message=ASK)["status"] == "needs_approval"
        host.hang_up()
        host.process.wait(timeout=10)
    return waiting_call(machine, config)


def test_a_store_where_nothing_waits_says_so(machine: Machine) -> None:
    done = machine.run("approvals")
    assert (done.returncode, done.stdout) == (0, "no call waits for approval\n")


def test_list_shows_the_whole_call_and_nothing_that_moves_the_cursor(machine: Machine, config: Path) -> None:
    call_id = start_and_leave(machine, config)
    done = machine.run("approvals", "list", "--config", str(config))
    for part in (call_id, "session    one", "desk__add_note", "buy \\u001b[2J milk", "expires", "allow|deny"):
        assert part in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("action", "said"), [("allow", "kept as note 1"), ("deny", "not today")])
def test_a_server_that_runs_the_turn_acts_on_the_answer(
    machine: Machine, config: Path, action: str, said: str
) -> None:
    with machine.serve("--config", str(config)) as host:
        host.initialize()
        host.call("start_session", session_id="one", message=ASK)
        call_id = waiting_call(machine, config)
        done = machine.run("approvals", action, call_id, "--reason", "not today", "--config", str(config))
        assert (done.returncode, done.stderr) == (0, "")
        result = host.call("send_message", session_id="one")
    assert (result["status"], result["approvals"]) == ("idle", [])
    assert said in result["text"]


def test_without_a_server_the_turn_goes_on_when_the_next_one_starts(machine: Machine, config: Path) -> None:
    call_id = start_and_leave(machine, config)
    assert machine.run("approvals", "allow", call_id, "--config", str(config)).returncode == 0
    assert machine.run("approvals", "--config", str(config)).stdout == "no call waits for approval\n"
    with machine.serve("--config", str(config)) as host:
        host.initialize()
        assert "kept as note 1" in host.call("send_message", session_id="one")["text"]


def test_the_first_answer_counts_and_a_second_is_an_error(machine: Machine, config: Path) -> None:
    call_id = start_and_leave(machine, config)
    machine.run("approvals", "deny", call_id, "--config", str(config))
    done = machine.run("approvals", "allow", call_id, "--config", str(config))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert call_id in line and "denied already" in line


def test_an_unknown_call_is_an_error_in_one_line(machine: Machine) -> None:
    done = machine.run("approvals", "allow", "call_nobody")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("agent-mcp: ") and "call_nobody" in line and "agent-mcp approvals" in line


def test_an_answer_without_a_call_is_wrong_usage(machine: Machine) -> None:
    assert machine.run("approvals", "allow").returncode == 2


def test_an_approval_can_hold_for_the_session(machine: Machine, config: Path) -> None:
    with machine.serve("--config", str(config)) as host:
        host.initialize()
        waiting = host.call("start_session", session_id="one", message=ASK)["approvals"]
        call_id = waiting[0]["call_id"]
        done = machine.run("approvals", "allow", call_id, "--for", "session", "--config", str(config))
        assert done.stdout.endswith(", and for the rest of the session\n")
        assert "kept as note 1" in host.call("send_message", session_id="one")["text"]
        again = host.call("send_message", session_id="one", message=ASK)
    assert (again["status"], "kept as note 2" in again["text"]) == ("idle", True)
