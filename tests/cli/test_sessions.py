"""`agent-mcp sessions`: what is in the store, without starting any server."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import DESK, Machine


@pytest.fixture
def used(machine: Machine) -> Machine:
    """A machine with one session, `one`, that has called a tool, and an empty one, `two`."""
    config = machine.write_config({"mcpServers": {"desk": DESK}})
    with machine.serve("--config", str(config)) as host:
        host.initialize()
        message = 'count\n/call desk__count_words {"text": "a b c d"}'
        assert "4 words" in host.call("start_session", session_id="one", message=message)["text"]
        host.call("start_session", session_id="two")
        host.call("close_session", session_id="two")
        host.hang_up()
        assert host.process.wait(timeout=10) == 0
    return machine


def test_an_empty_store_says_so(machine: Machine) -> None:
    done = machine.run("sessions", "list")
    assert (done.returncode, done.stdout) == (0, "no sessions yet\n")


def test_list_shows_the_newest_first_with_status_and_title(used: Machine) -> None:
    done = used.run("sessions", "list")
    header, first, second = done.stdout.splitlines()
    assert header.split() == ["SESSION", "STATUS", "TURNS", "UPDATED", "AGENT", "TITLE"]
    assert first.split()[:3] == ["two", "closed", "0"]
    assert second.split()[:3] == ["one", "idle", "1"]
    assert "count /call desk__count_words" in second


def test_show_renders_the_transcript(used: Machine) -> None:
    done = used.run("sessions", "show", "one")
    assert done.returncode == 0
    for part in ("# Session one", "**User:** count", "desk__count_words", "4 words", "end_turn"):
        assert part in done.stdout


def test_export_prints_every_event_as_a_line_of_json(used: Machine) -> None:
    done = used.run("sessions", "export", "one")
    _, row, turn, *lines, end = [json.loads(line) for line in done.stdout.splitlines()]
    events = [line["event"] for line in lines]
    assert row["session"]["id"] == end["end"]["id"] == "one"
    assert turn["turn"] == {"n": 1, "status": "done"}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["kind"] for event in events]
    assert kinds[0] == "user_message" and "tool_result" in kinds and "turn_ended" in kinds


def test_delete_removes_one_session_and_no_other(used: Machine) -> None:
    assert used.run("sessions", "delete", "one").returncode == 0
    assert used.run("sessions", "show", "one").returncode == 1
    assert used.run("sessions", "show", "two").returncode == 0


@pytest.mark.parametrize("action", ["show", "export", "delete"])
def test_an_unknown_session_ends_with_1_in_one_line(machine: Machine, action: str) -> None:
    done = machine.run("sessions", action, "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("agent-mcp: ") and "nobody" in line and "agent-mcp sessions list" in line


def test_the_environments_store_is_the_one_that_is_read(machine: Machine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else.db"
    machine.run("sessions", "list", AGENT_MCP_STORE=f"sqlite:///{elsewhere}")
    assert elsewhere.exists()
