"""Turns what SQLite complains about into a `StoreError` that names the file and a way out."""

import errno
import sqlite3
from pathlib import Path

from agent_mcp.errors import StoreError

_HINTS = {
    "SQLITE_FULL": "the disk is full: free some space",
    "SQLITE_CORRUPT": "the file is damaged: move it away or restore a copy",
    "SQLITE_NOTADB": "the file is no session store: move it away or set another path as `store`",
    "SQLITE_READONLY": "make the file and its directory writable, or set another path as `store`",
    "SQLITE_CANTOPEN": "check that the directory exists and is writable, or set another path as `store`",
    "SQLITE_PERM": "check the permissions of the file and its directory",
    "SQLITE_BUSY": "another process has held the store too long: see which one has the file open",
    "SQLITE_LOCKED": "another process has held the store too long: see which one has the file open",
    # That a disk is full when a process starts shows as this, since its shared memory is a file too.
    "SQLITE_IOERR": "the disk is full or reports an error; a store on a network share is not supported",
}


def store_error(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    """The public form of `error`, met while working on the store at `path`."""
    return StoreError(f"session store {path}: {error}", hint=_hint(error))


def damaged_error(path: Path, fault: str) -> StoreError:
    """For a file in which we ourselves have found a fault."""
    return StoreError(f"session store {path}: {fault}", hint=_HINTS["SQLITE_CORRUPT"])


def closed_error(path: Path) -> StoreError:
    """For a call that comes after the store was closed."""
    return StoreError(
        f"session store {path}: it is closed", hint="the server is shutting down; call again later"
    )


def _hint(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _HINTS["SQLITE_FULL"]
    if isinstance(error, OSError):
        return "check the permissions of the file and its directory, or set another path as `store`"
    name: str = getattr(
        error, "sqlite_errorname", ""
    )  # absent on errors that the Python module itself raises
    primary = "_".join(name.split("_")[:2])  # extended codes look like SQLITE_IOERR_WRITE
    return _HINTS.get(primary, "run `agent-mcp doctor`")
