"""Brings a database to the newest schema: numbered files, forward only. The caller keeps other processes away."""

import sqlite3
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from agent_mcp.errors import StoreError
from agent_mcp.store.faults import damaged_error


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply what `migrations/` has beyond the database's schema version, each file in one transaction.

    Raises:
        StoreError: the database is of a newer version than this program, or not ours.
        sqlite3.Error: it cannot be read or written.
    """
    version = check_version(connection, path)
    for number, script in enumerate(read_scripts()[version:], start=version + 1):
        _apply(connection, number, script)


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of a database of ours that is not too new; 0 for an empty one.

    Raises:
        StoreError: it is of a newer version than this program, or not ours.
        sqlite3.Error: it cannot be read.
    """
    version = _version(connection, path)
    newest = len(read_scripts())
    if version > newest:
        problem = (
            f"session store {path}: its schema version {version} is newer than {newest}, the newest known"
        )
        raise StoreError(problem, hint="update agent-mcp, or set another path as `store`")
    return version


def _version(connection: sqlite3.Connection, path: Path) -> int:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if not {"meta", "sessions", "events"} <= tables:
        problem = f"session store {path}: this is another program's database"
        raise StoreError(problem, hint="set another path as `store`")
    row = connection.execute("SELECT schema_version FROM meta").fetchone()
    if row is None:
        raise damaged_error(path, "it does not say its schema version")
    return row[0]


@cache
def read_scripts() -> Sequence[str]:
    """The migrations in order; the first makes version 1."""
    folder = files("agent_mcp.store") / "migrations"
    found = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return tuple(file.read_text(encoding="utf-8") for file in found)


def _apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    stamp = f"DELETE FROM meta; INSERT INTO meta (schema_version) VALUES ({number});"
    try:
        # One script with its own BEGIN: executescript ends any transaction that is open before it.
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n{stamp}\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
