"""`agent-mcp demo`: the main job on a fresh machine."""

from contextlib import suppress
from pathlib import Path

import psutil

from tests.cli.conftest import Machine


def test_it_runs_two_messages_with_tool_calls_without_key_or_config_and_leaves_nothing(
    machine: Machine,
) -> None:
    done = machine.run("demo")
    assert (done.returncode, done.stderr) == (0, "")
    for part in (
        "start_session, send_message, summary",
        "none is configured",
        "4 calls side by side",
        "desk__add_note",
        "kept as note 2",
        "1. buy milk",
        "2. call Ada",
        "5, 5 of them successful",
    ):
        assert part in done.stdout
    assert list(machine.home.iterdir()) == []
    assert processes_at(machine.home) == []


def processes_at(home: Path) -> list[psutil.Process]:
    """Those that work in this directory; whom we may not look at is none of ours."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(home):
                found.append(process)
    return found


def test_a_model_that_cannot_be_used_ends_it_with_1_in_one_line(machine: Machine) -> None:
    done = machine.run("demo", AGENT_MCP_MODEL="anthropic:claude-x")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "MISSING_API_KEY" in line and "ANTHROPIC_API_KEY" in line
