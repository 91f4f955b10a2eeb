"""Looks at a database file before anything is changed in it: whose it is, of which version, whether it can be read.

Reads the first pages of each table and no more, which takes half a millisecond at any size: damage further in shows
when it is read. `check_whole` reads everything.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from agent_mcp.store.faults import damaged_error, store_error
from agent_mcp.store.migrate import check_version

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_FAULTS_SHOWN = 3


def look(path: Path) -> None:
    """Return if the file at `path` is empty or a store of ours that can be read; it is not changed in any case.

    Raises:
        StoreError: it is of a newer version, or another program's.
        sqlite3.Error: it is damaged, or cannot be read.
    """
    with closing(_connect(path)) as connection:
        check_version(connection, path)
        for (table,) in connection.execute(_TABLES).fetchall():
            connection.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchall()


def check_whole(path: Path) -> None:
    """Read all of the file; seconds for a gigabyte.

    Raises:
        StoreError: as `look`, or there is damage anywhere.
    """
    try:
        look(path)
        faults = _faults(path)
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    if faults != ["ok"]:
        raise damaged_error(path, "; ".join(faults))


def _faults(path: Path) -> list[str]:
    with closing(_connect(path)) as connection:
        return [fault for (fault,) in connection.execute(f"PRAGMA quick_check({_FAULTS_SHOWN})").fetchall()]


def _connect(path: Path) -> sqlite3.Connection:
    # Read-only: an ordinary connection would, as the last one to close, write what a killed process has left in the
    # write-ahead log into the file. Where there is no such log nobody writes, and nothing at all needs to be made.
    waiting = path.with_name(f"{path.name}-wal").exists()
    how = "mode=ro" if waiting else "immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
