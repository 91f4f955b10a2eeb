"""`agent-mcp sessions export|import|prune`: out, in and away, as an operator sees it."""

import errno
import io
import os
import sys
from argparse import Namespace
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NoReturn

import pytest

from agent_mcp.cli.parser import parse
from agent_mcp.cli.upkeep import export_sessions, import_sessions, prune_sessions
from agent_mcp.config.schema import RetentionEntry
from agent_mcp.errors import AgentMcpError, ConfigError, SessionExistsError, SessionNotFoundError, StoreError
from agent_mcp.sessions.events import NoteAdded
from agent_mcp.sessions.ports import NewSession, SessionStore
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.upkeep import Expiry, SessionArchive
from agent_mcp.store.open import open_store
from tests.cli.conftest import Machine

pytestmark = pytest.mark.anyio
NOTHING = RetentionEntry()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[SessionStore]:
    """With `a`, that is idle, and `b`, that has a turn to run."""
    async with open_store(f"sqlite:///{tmp_path}/a.db") as opened:
        await opened.create(NewSession("a", Profile(agent="é")))
        await opened.append("a", 0, [NoteAdded("ü")])
        await opened.create(NewSession("b", Profile()), message="hello")
        yield opened


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncGenerator[SessionStore]:
    """Another one."""
    async with open_store(f"sqlite:///{tmp_path}/b.db") as opened:
        yield opened


def options(*words: str) -> Namespace:
    """Of `agent-mcp sessions`."""
    return parse(["sessions", *words])


async def test_all_sessions_go_through_a_file_of_ones_own_into_another_store(
    store: SessionStore, empty: SessionStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.jsonl"
    await export_sessions(store, options("export", "--all", "--output", str(file)))
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o077 == 0
    await import_sessions(empty, options("import", str(file)))
    assert capsys.readouterr().out.splitlines() == [
        "imported 2 sessions",
        "1 of them has a turn that had not ended; it goes on when a server runs",
    ]
    assert await empty.read("a") == await store.read("a")
    with pytest.raises(SessionExistsError, match="b") as refusal:
        await import_sessions(empty, options("import", str(file)))
    assert "--skip-existing" in refusal.value.hint
    await empty.delete("a")
    capsys.readouterr()
    await import_sessions(empty, options("import", str(file), "--skip-existing"))
    assert "imported 1 session, left 1 alone" in capsys.readouterr().out


async def test_one_session_is_printed_and_read_from_stdin(
    store: SessionStore,
    empty: SessionStore,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await export_sessions(store, options("export", "a"))
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == '{"format":"agent-mcp sessions","version":1}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(printed.encode())))
    await import_sessions(empty, options("import", "-"))
    assert await empty.read("a") == await store.read("a")


async def test_an_export_never_writes_over_a_file_and_makes_none_for_nobody(
    store: SessionStore, tmp_path: Path
) -> None:
    file = tmp_path / "mine.txt"
    with pytest.raises(SessionNotFoundError):
        await export_sessions(store, options("export", "nobody", "--output", str(file)))
    file.write_text("precious")
    with pytest.raises(AgentMcpError, match=r"mine\.txt.*another --output"):
        await export_sessions(store, options("export", "a", "--output", str(file)))
    assert file.read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="the mode says nothing about others there")
async def test_an_export_of_all_leaves_out_what_is_pruned_meanwhile(
    store: SessionStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = store.archive

    async def prune_first(session_id: str) -> SessionArchive:
        await store.prune(Expiry(keep=0), limit=9)
        return await archive(session_id)

    monkeypatch.setattr(store, "archive", prune_first)
    await export_sessions(store, options("export", "--all"))
    ends = [line for line in capsys.readouterr().out.splitlines() if line.startswith('{"end"')]
    assert ends == ['{"end":{"id":"b","events":1}}']


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"can't write .*mine\.txt: No space left"),
        (StoreError("gone"), "gone"),
    ],
)
async def test_an_export_that_fails_leaves_no_part_of_a_file(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, said: str
) -> None:
    async def fail(session_id: str, *, after: int, up_to: int) -> NoReturn:
        raise fault

    monkeypatch.setattr(store, "raw_events", fail)
    file = tmp_path / "mine.txt"
    with pytest.raises(AgentMcpError, match=said):
        await export_sessions(store, options("export", "--all", "--output", str(file)))
    assert not file.exists()


async def test_nobody_else_can_read_an_export(store: SessionStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await export_sessions(store, options("export", "a", "--output", str(tmp_path / "out.jsonl")))
    finally:
        os.umask(before)
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_not_there_cannot_be_imported(store: SessionStore, tmp_path: Path) -> None:
    with pytest.raises(AgentMcpError, match=r"can't read .*none\.jsonl"):
        await import_sessions(store, options("import", str(tmp_path / "none.jsonl")))


async def test_prune_says_what_it_would_do_does_it_and_says_what_is_free(
    store: SessionStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await store.append("a", 0, [NoteAdded("x" * 3_000_000)])
    await prune_sessions(store, options("prune", "--keep", "0", "--dry-run"), NOTHING)
    assert capsys.readouterr().out.splitlines() == ["a", "1 session would be removed"]
    async with open_store(f"sqlite:///{tmp_path}/a.db"):
        await prune_sessions(store, options("prune", "--keep", "0"), NOTHING)
    removed, told = capsys.readouterr().out.splitlines()
    assert (removed, "3.0 MB are free inside" in told) == ("removed 1 session", True)
    assert "1 other processes have the store open" in told
    await prune_sessions(store, options("prune", "--keep", "0"), NOTHING)
    assert "3.0 MB less" in capsys.readouterr().out
    assert (tmp_path / "a.db").stat().st_size < 500_000


async def test_prune_follows_its_options_or_else_the_config(
    store: SessionStore, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="retention in the config"):
        await prune_sessions(store, options("prune"), NOTHING)
    await prune_sessions(store, options("prune", "--older-than", "1h"), RetentionEntry(sessions=1))
    assert "removed 0 sessions" in capsys.readouterr().out
    await prune_sessions(store, options("prune"), RetentionEntry(days=1e-12))
    assert "removed 1 session" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("export",),
        ("export", "a", "--all"),
        ("prune", "--older-than", "30"),
        ("prune", "--older-than", "0d"),
        ("prune", "--older-than", "xd"),
        ("prune", "--keep", "-1"),
        ("prune", "--keep", "few"),
        ("import",),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options(*words)


def test_the_program_exports_and_imports(machine: Machine) -> None:
    done = machine.run("sessions", "export", "--all")
    assert (done.returncode, done.stdout) == (0, '{"format":"agent-mcp sessions","version":1}\n')
    (machine.home / "x.jsonl").write_text("{}\n")
    done = machine.run("sessions", "import", "x.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("agent-mcp: x.jsonl: line 1: this is no export of sessions")
