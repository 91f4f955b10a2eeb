"""Schemas: older ones are brought up to date, newer and foreign ones left alone."""

import sqlite3
from pathlib import Path

import pytest

from agent_mcp.errors import StoreError
from agent_mcp.store import migrate as migrations
from tests.store.conftest import make_database

NEWEST = len(migrations.read_scripts())


def run(path: Path, sql: str) -> list[tuple[object, ...]]:
    """The rows of one statement, by a connection of its own."""
    connection = sqlite3.connect(path, isolation_level=None)
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One of today's version."""
    path = tmp_path / "sessions.db"
    make_database(path)
    return path


def test_a_new_database_has_the_newest_version_and_opens_again(database: Path) -> None:
    make_database(database)
    assert run(database, "SELECT schema_version FROM meta") == [(NEWEST,)]
    assert run(database, "PRAGMA journal_mode") == [("wal",)]


def test_a_newer_database_is_refused_and_left_alone(database: Path) -> None:
    run(database, "UPDATE meta SET schema_version = 99")
    with pytest.raises(StoreError, match=rf"sessions\.db.* 99 is newer than {NEWEST}") as caught:
        make_database(database)
    assert "update agent-mcp" in caught.value.hint
    assert run(database, "SELECT schema_version FROM meta") == [(99,)]


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    run(path, "CREATE TABLE cookies (name TEXT)")
    with pytest.raises(StoreError, match="another program's"):
        make_database(path)
    assert run(path, "SELECT name FROM sqlite_master") == [("cookies",)]


def test_an_older_database_gets_what_is_new_and_keeps_what_it_had(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(database, "INSERT INTO turns (session, n, status, claims) VALUES ('s1', 1, 'queued', 0)")
    scripts = [*migrations.read_scripts(), "ALTER TABLE turns ADD COLUMN mood TEXT;"]
    monkeypatch.setattr(migrations, "read_scripts", lambda: scripts)
    make_database(database)
    assert run(database, "SELECT session, mood FROM turns") == [("s1", None)]
    assert run(database, "SELECT schema_version FROM meta") == [(NEWEST + 1,)]


def test_a_migration_that_fails_changes_nothing(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = [*migrations.read_scripts(), "ALTER TABLE turns ADD COLUMN mood TEXT; SELECT * FROM nowhere;"]
    monkeypatch.setattr(migrations, "read_scripts", lambda: scripts)
    with pytest.raises(StoreError, match="nowhere"):
        make_database(database)
    assert run(database, "SELECT schema_version FROM meta") == [(NEWEST,)]
    assert "mood" not in {row[1] for row in run(database, "PRAGMA table_info(turns)")}
