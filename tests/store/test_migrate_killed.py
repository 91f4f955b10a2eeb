"""A process killed at any statement of any migration: the next start goes on from there, and nothing is missing.

Knows no migration: those that are yet to come are killed too.
"""

import os
import shutil
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from agent_mcp.sessions.events import UserMessageAdded
from agent_mcp.store import connect
from agent_mcp.store import migrate as migrations
from agent_mcp.store.connect import opening, prepare
from agent_mcp.store.open import open_store
from tests.store.conftest import make_database
from tests.support.processes import run_process

pytestmark = pytest.mark.anyio

NEWEST = len(migrations.read_scripts())
FIRST_SESSION = """
INSERT INTO sessions (id, head, epoch, config, origin, principal, parent, created, updated)
VALUES ('s1', 1, 0, '{"agent": "scout"}', '', '', NULL, 1.0, 1.0);
INSERT INTO turns (session, n, status, claims) VALUES ('s1', 1, 'queued', 0);
INSERT INTO events (session, seq, turn, kind, data, at)
VALUES ('s1', 1, 1, 'user_message', '{"text": "hello"}', 1.0);
"""


@pytest.mark.parametrize("version", range(NEWEST))
async def test_a_kill_within_a_migration_is_made_good_by_the_next_start(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old" / "sessions.db"
    make_old(old, version, monkeypatch)
    make_database(tmp_path / "fresh.db")
    fresh, kills = schema(tmp_path / "fresh.db"), 0
    # From an empty file all migrations run, and every other of their statements is met; from the others fewer.
    for statement in range(1, 1000, 2 if version == 0 else 4):
        path = tmp_path / str(statement) / "sessions.db"
        shutil.copytree(old.parent, path.parent)
        if (status := run_process(open_and_die, path, statement)) == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
        await check(path, has_session=version > 0)
        assert schema(path) == fresh
        shutil.rmtree(path.parent)
    assert kills >= (20 if version == 0 else 1)


def make_old(path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of this version with a session, made by its own migrations; 0 is no store at all."""
    path.parent.mkdir()
    if version == 0:
        return
    scripts = migrations.read_scripts()[:version]
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "read_scripts", lambda: scripts)
        make_database(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_SESSION)


async def check(path: Path, *, has_session: bool) -> None:
    """It opens and has what was in it."""
    async with open_store(f"sqlite:///{path}") as store:
        if has_session:
            assert [event.data for event in await store.read("s1")] == [UserMessageAdded("hello")]
            assert [line.title for line in await store.list(query="hello", limit=9)] == ["hello"]
            assert await store.count_unfinished() == 1


def schema(path: Path) -> Sequence[tuple[str, ...]]:
    """Everything that a database consists of, and its version."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        return [*found, *connection.execute("SELECT schema_version FROM meta").fetchall()]


def open_and_die(path: Path, statement: int) -> None:
    """In a process of its own: bring the store up to date, but die before its writing statement of this number."""
    seen = 0

    def count(sql: str) -> None:
        nonlocal seen
        seen += not sql.lstrip().upper().startswith(("SELECT", "PRAGMA"))
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection = sqlite3.Connection(*args, **kwargs)  # pyright: ignore[reportArgumentType]  # as it was called
        connection.set_trace_callback(count)
        return connection

    connect.sqlite3.connect = traced
    with opening(path):
        prepare(path)
