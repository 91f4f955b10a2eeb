"""Which processes live: each open store holds a lock on a file of its own beside the database.

The operating system frees a lock when its process ends, however it ends, so "the lock can be taken" means "its owner
is dead". Owner ids are never used twice: a dead owner stays dead, and its file may be removed. A frozen process still
holds its lock. Locks do not reach across machines; neither does the SQLite file.
"""

import os
import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class Owners:
    """The lock files of one database."""

    def __init__(self, directory: Path) -> None:
        """Take a lock for this store, and remove the files of dead ones.

        One process at a time (see `connect.opening`): between the making of a file and its locking it looks dead.

        Raises:
            OSError: the directory cannot be written to.
        """
        self._directory = directory
        # Two threads that ask of the same dead owner at once would each see it locked.
        self._probing = threading.Lock()
        self.me = f"{os.getpid()}-{secrets.token_hex(8)}"
        """The id of this store."""
        self._lock = _lock(self._file(self.me))
        self._lock.acquire(blocking=False)
        for file in directory.glob("*.owner"):
            self.is_alive(file.stem)

    def is_alive(self, owner: str) -> bool:
        """Whether the store with this id is still open in a living process. About 0.1 ms for others than this one.

        While another process asks the same of a dead one, the answer may be True: ask again.
        """
        if owner == self.me:
            return True
        file = self._file(owner)
        if not file.exists():
            return False
        probe = _lock(file)
        with self._probing:
            try:
                probe.acquire(blocking=False)
            except Timeout:
                return True
            probe.release()
        file.unlink(missing_ok=True)
        return False

    def others(self) -> int:
        """How many other living processes have the store open."""
        owners = [file.stem for file in self._directory.glob("*.owner")]
        return sum(owner != self.me and self.is_alive(owner) for owner in owners)

    @contextmanager
    def leading(self) -> Generator[bool]:
        """True for one process at a time, as long as the context lasts."""
        lock = _lock(self._directory / "upkeep.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def release(self) -> None:
        """Give up this store's lock and remove its file: its turns are free from now on."""
        self._lock.release()
        self._file(self.me).unlink(missing_ok=True)

    def _file(self, owner: str) -> Path:
        return self._directory / f"{owner}.owner"


def _lock(file: Path) -> FileLock:
    # Not thread-local: the writer thread probes, the event loop holds. No fallback to a lock by mere existence, which
    # would outlive its process.
    return FileLock(file, mode=0o600, thread_local=False, is_singleton=False, fallback_to_soft=False)
