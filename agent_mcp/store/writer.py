"""The one thread that writes: it takes what has piled up and commits it together.

A commit with `synchronous=FULL` waits for the disk, so writes that come while one is under way share the next one
(group commit): alone a write costs one flush, a hundred at once cost little more than one together. One bad write
does not harm its batch; a failed commit fails all of it. Results go back to the event loop with one wake-up a batch.
Knows nothing of what is written.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from agent_mcp.sessions.events import Event
from agent_mcp.store.faults import closed_error, store_error
from agent_mcp.store.transactions import Transaction

MAX_BATCH = 256
"""Writes in one commit: enough for the flush to be a small part, few enough for a batch to stay under 20 ms."""

_T = TypeVar("_T")

Operation = Callable[[Transaction], _T]
"""One write. May run twice (its batch rolled back in between), so it touches nothing but its transaction."""

OnStored = Callable[[str, Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class _Pending:
    operation: Operation[Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None
    stored: Sequence[tuple[str, Sequence[Event]]] = ()


class Writer:
    """Runs operations in the order given, each in a transaction that is durable before its result is told."""

    def __init__(
        self, connection: sqlite3.Connection, *, path: Path, now: Callable[[], float], on_stored: OnStored
    ) -> None:
        """`on_stored` is called in the event loop for each session that a committed operation wrote to."""
        self._connection = connection
        self._path = path
        self._now = now
        self._on_stored = on_stored
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Pending | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="agent-mcp store", daemon=True)
        self._thread.start()

    async def write(self, operation: Operation[_T]) -> _T:
        """The operation's result once it is on disk. A caller that is cancelled meanwhile does not undo it.

        Raises:
            StoreError: the database refused, or the writer is closed.
        """
        if self._closed:
            raise closed_error(self._path)
        future: asyncio.Future[_T] = self._loop.create_future()
        self._queue.put(_Pending(operation, future))
        return await future

    async def aclose(self) -> None:
        """Write what is queued, then stop."""
        self._closed = True
        self._queue.put(None)
        # Shielded: a server that is being cancelled must still flush, and the thread ends by itself in any case.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    def _serve(self) -> None:
        open_for_more = True
        while open_for_more:
            batch, open_for_more = self._next_batch()
            outcomes = self._commit(batch) if batch else []
            self._loop.call_soon_threadsafe(self._tell, outcomes)
        self._connection.close()

    def _next_batch(self) -> tuple[list[_Pending], bool]:
        """What waits now, at least one; False when it is the last."""
        batch: list[_Pending] = []
        while len(batch) < MAX_BATCH:
            try:
                pending = self._queue.get(block=not batch)
            except Empty:
                break
            if pending is None:
                return batch, False
            batch.append(pending)
        return batch, True

    def _commit(self, batch: Sequence[_Pending]) -> list[_Outcome]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return self._all_failed(batch, error)
        outcomes: list[_Outcome] = []
        for pending in batch:
            changes_before = self._connection.total_changes
            outcome = self._run(pending)
            outcomes.append(outcome)
            if outcome.error is not None and self._is_half_done(outcome.error, changes_before):
                self._rollback()
                return outcomes[-1:] if len(batch) == 1 else self._commit_singly(batch)
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            return self._all_failed(batch, error)
        return outcomes

    def _commit_singly(self, batch: Sequence[_Pending]) -> list[_Outcome]:
        """Each in its own transaction, after one of them broke the common one."""
        return [outcome for pending in batch for outcome in self._commit([pending])]

    def _run(self, pending: _Pending) -> _Outcome:
        transaction = Transaction(self._connection, self._now())
        try:
            result = pending.operation(transaction)
        except sqlite3.Error as error:
            failure = store_error(self._path, error)
            failure.__cause__ = error
            return _Outcome(pending.future, error=failure)
        except Exception as error:  # whatever it is, it belongs to the caller, and this thread must live on
            return _Outcome(pending.future, error=error)
        return _Outcome(pending.future, result=result, stored=transaction.stored)

    def _is_half_done(self, error: Exception, changes_before: int) -> bool:
        """Whether the failed operation may have left something in the transaction, or ended it."""
        return isinstance(error.__cause__, sqlite3.Error) or self._connection.total_changes != changes_before

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _all_failed(self, batch: Sequence[_Pending], error: sqlite3.Error) -> list[_Outcome]:
        return [_Outcome(pending.future, error=store_error(self._path, error)) for pending in batch]

    def _tell(self, outcomes: Sequence[_Outcome]) -> None:
        for outcome in outcomes:
            for session_id, events in outcome.stored:
                self._on_stored(session_id, events)
            if outcome.future.done():  # the caller was cancelled
                continue
            if outcome.error is not None:
                outcome.future.set_exception(outcome.error)
            else:
                outcome.future.set_result(outcome.result)
