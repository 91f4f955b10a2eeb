"""The one thread that writes: it takes what has piled up and commits it together.

A commit with `synchronous=FULL` waits for the disk, so writes that come while one is under way share the next one
(group commit): alone a write costs one flush, a hundred at once cost little more than one together. A write that need
not wait is committed without a flush: no end of this process can undo it, only a loss of power, and that only until
the next flush, which takes everything before it along and comes within `FLUSH_SECONDS`. The threads hand over whole
batches, what one round of the event loop asked for and what one commit answered, since each wake-up costs as much as
several writes. One bad write does not harm its batch; a failed commit fails all of it. Knows nothing of what is
written.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

import anyio
import anyio.to_thread

from agent_mcp.sessions.events import Event
from agent_mcp.store import queries
from agent_mcp.store.faults import closed_error, store_error
from agent_mcp.store.transactions import Transaction

log = logging.getLogger(__name__)

MAX_BATCH = 256
"""No more is added to a batch of this size: the flush is a small part of it by then."""

FLUSH_SECONDS = 0.05
"""How long a commit may lie in the system's memory before it is on the disk. Longer than a quick step, so that one
flush serves the step's reply and results; too short to lose much by."""

MAX_STEP_BACK_SECONDS = 24 * 3600.0
"""A clock that was wrong by a time zone is waited for; one that was wrong by more is not."""

_TICK_SECONDS = 1e-6

_T = TypeVar("_T")

Operation = Callable[[Transaction], _T]
"""One write. May run twice (its batch rolled back in between), so it touches nothing but its transaction."""

OnStored = Callable[[str, Sequence[Event]], None]


class _Pending(NamedTuple):
    operation: Operation[Any]
    future: asyncio.Future[Any]
    flush: bool


class _Outcome(NamedTuple):
    future: asyncio.Future[Any]
    result: Any
    error: Exception | None


class _Commit(NamedTuple):
    outcomes: Sequence[_Outcome]
    stored: Sequence[tuple[str, Sequence[Event]]]


class _BrokenBatch(Exception):
    """An operation failed with half of its work in the common transaction, which was rolled back."""

    def __init__(self, outcome: _Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Writer:
    """Runs operations in the order given, each in a transaction that is committed before its result is told."""

    def __init__(
        self, connection: sqlite3.Connection, *, path: Path, now: Callable[[], float], on_stored: OnStored
    ) -> None:
        """`on_stored` is called in the event loop for each session that a committed operation wrote to."""
        self._connection = connection
        self._path = path
        self._now = now
        self._on_stored = on_stored
        self._loop = asyncio.get_running_loop()
        self._asked: list[_Pending] = []
        self._queue: SimpleQueue[list[_Pending] | None] = SimpleQueue()
        self._flush_at: float | None = None
        self._last = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="agent-mcp store", daemon=True)
        self._thread.start()

    def write(self, operation: Operation[_T], *, flush: bool = True) -> Awaitable[_T]:
        """The operation's result, to be awaited, once it is committed, and with `flush` on the disk.

        A cancelled caller does not undo it.

        Raises:
            StoreError: the database refused, or the writer is closed.
        """
        if self._closed:
            raise closed_error(self._path)
        future: asyncio.Future[_T] = self._loop.create_future()
        if not self._asked:
            self._loop.call_soon(self._hand_over)
        self._asked.append(_Pending(operation, future, flush))
        return future

    async def aclose(self) -> None:
        """Write what is queued, then stop."""
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        # Shielded: a server that is being cancelled must still flush, and the thread ends by itself in any case.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    def _hand_over(self) -> None:
        if self._asked:
            self._queue.put(self._asked)
            self._asked = []

    def _serve(self) -> None:
        open_for_more = True
        while open_for_more:
            batch, open_for_more = self._next_batch()
            for commit in self._commit(batch) if batch else ():
                self._loop.call_soon_threadsafe(self._tell, commit)
            if self._must_flush(at_the_end=not open_for_more):
                self._flush()
        self._connection.close()

    def _next_batch(self) -> tuple[list[_Pending], bool]:
        """What waits now, at least one if no flush is due before; False when it is the last."""
        batch: list[_Pending] = []
        while len(batch) < MAX_BATCH:
            try:
                asked = self._queue.get(block=not batch, timeout=self._seconds_to_flush())
            except Empty:
                break
            if asked is None:
                return batch, False
            batch += asked
        return batch, True

    def _commit(self, batch: Sequence[_Pending]) -> list[_Commit]:
        """All in one transaction; or each in its own, if one of them breaks the common one."""
        try:
            return [self._commit_together(batch)]
        except _BrokenBatch as broken:
            if len(batch) == 1:
                return [_Commit([broken.outcome], ())]
            return [commit for pending in batch for commit in self._commit([pending])]
        except sqlite3.Error as error:
            self._rollback()
            return [_Commit([self._failed(pending, error) for pending in batch], ())]

    def _commit_together(self, batch: Sequence[_Pending]) -> _Commit:
        connection = self._connection
        flush = any(pending.flush for pending in batch)
        self._begin(flush=flush)
        transaction = Transaction(connection, self._time())
        outcomes: list[_Outcome] = []
        for pending in batch:
            changes_before = connection.total_changes
            outcome = self._run(pending, transaction)
            if outcome.error is not None and _is_half_done(
                outcome.error, connection.total_changes - changes_before
            ):
                self._rollback()
                raise _BrokenBatch(outcome)
            outcomes.append(outcome)
        connection.execute("COMMIT")
        self._note_commit(flushed=flush)
        return _Commit(outcomes, transaction.stored)

    def _begin(self, *, flush: bool) -> None:
        # In WAL mode NORMAL leaves out the flush and nothing else: https://www.sqlite.org/pragma.html#pragma_synchronous
        self._connection.execute(queries.FLUSHED if flush else queries.UNFLUSHED)
        self._connection.execute("BEGIN IMMEDIATE")

    def _time(self) -> float:
        """Now, but not before what is in the log already: the order of a list is that of its times.

        So it is after a small step back of the clock, also one that was taken before this process began. A time far
        ahead was wrong: then the clock counts.
        """
        now = self._now()
        newest = max((at for (at,) in self._connection.execute(queries.NEWEST_TIME).fetchall()), default=0.0)
        last = max(newest, self._last)
        self._last = last + _TICK_SECONDS if now <= last < now + MAX_STEP_BACK_SECONDS else now
        return self._last

    def _note_commit(self, *, flushed: bool) -> None:
        if flushed:
            self._flush_at = None
        elif self._flush_at is None:
            self._flush_at = time.monotonic() + FLUSH_SECONDS

    def _seconds_to_flush(self) -> float | None:
        return None if self._flush_at is None else max(0.0, self._flush_at - time.monotonic())

    def _must_flush(self, *, at_the_end: bool) -> bool:
        return self._flush_at is not None and (at_the_end or time.monotonic() >= self._flush_at)

    def _flush(self) -> None:
        """Everything that was committed so far to the disk."""
        try:
            self._begin(flush=True)
            self._connection.execute(queries.TOUCH)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            log.warning("%s", store_error(self._path, error))
        # A disk that refuses is not asked again and again: the next commit tells its caller.
        self._flush_at = None

    def _run(self, pending: _Pending, transaction: Transaction) -> _Outcome:
        try:
            return _Outcome(pending.future, pending.operation(transaction), None)
        except sqlite3.Error as error:
            return self._failed(pending, error)
        except Exception as error:  # whatever it is, it belongs to the caller, and this thread must live on
            return _Outcome(pending.future, None, error)

    def _failed(self, pending: _Pending, error: sqlite3.Error) -> _Outcome:
        failure = store_error(self._path, error)
        failure.__cause__ = error
        return _Outcome(pending.future, None, failure)

    def _rollback(self) -> None:
        with suppress(sqlite3.Error):  # then the connection is beyond help, and the next BEGIN will say so
            self._connection.execute("ROLLBACK")

    def _tell(self, commit: _Commit) -> None:
        for session_id, events in commit.stored:
            self._on_stored(session_id, events)
        for future, result, error in commit.outcomes:
            if future.done():  # the caller was cancelled
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)


def _is_half_done(error: Exception, changes: int) -> bool:
    """Whether a failed operation may have left something in its transaction, or ended it."""
    return changes != 0 or isinstance(error.__cause__, sqlite3.Error)
