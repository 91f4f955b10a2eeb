"""Files and connections: where the database and its lock files lie, who may read them, how SQLite is set up."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from agent_mcp.errors import StoreError
from agent_mcp.store import queries
from agent_mcp.store.faults import store_error
from agent_mcp.store.listing import add_functions
from agent_mcp.store.migrate import migrate
from agent_mcp.store.soundness import look

BUSY_SECONDS = 10.0
"""How long to wait for another process that writes; its transactions take milliseconds."""


@contextmanager
def opening(path: Path) -> Generator[Path]:
    """While it lasts, no other process opens the store at `path`; gives the directory for lock files.

    Directories and file are made if they are not there, for their user alone.

    Raises:
        StoreError: they cannot be made or used; also for what SQLite and the disk say inside.
    """
    locks = path.with_name(path.name + ".owners")
    try:
        _make_directory(path.parent)
        _make_directory(locks)
        path.touch(mode=0o600)
        with FileLock(locks / "open.lock", timeout=BUSY_SECONDS, mode=0o600):
            yield locks
    except Timeout as error:
        raise StoreError(
            f"session store {path}: another process is opening it and does not finish"
        ) from error
    except (OSError, sqlite3.Error) as error:
        raise store_error(path, error) from error


def prepare(path: Path) -> None:
    """Bring the database up to date. The caller is `opening` it: SQLite's change to WAL waits for nobody.

    A file that is refused is left as it was, to the byte.

    Raises:
        StoreError: it is of a newer version, another program's, or on a disk that SQLite cannot use.
        sqlite3.Error: it cannot be read or written, or is damaged.
    """
    look(path)
    connection = connect_writer(path)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            problem = f"session store {path}: SQLite cannot use its write-ahead log there"
            raise StoreError(problem, hint="put the store on a local disk")
        add_functions(connection)
        migrate(connection, path)
        # A read-only file is refused here and not at the first message. Beginning a transaction would not tell.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(queries.TOUCH)
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection whose commits are on disk when they return (`synchronous=FULL`)."""
    connection = _connect(path)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that never writes. In WAL mode it does not wait for writers, nor they for it."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # Opened in one thread and used in another, but never in two at once. Autocommit: transactions are begun by hand.
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _make_directory(path: Path) -> None:
    """With the missing parents; for this user alone where it is new."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
