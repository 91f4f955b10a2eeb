"""Everything that is read from the database: small things at once, big ones in a worker thread.

A row from a warm database takes about 5 µs, less than the way to a thread and back, so the event loop reads what is
known to be short itself. Reads see the newest commit of any process.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from agent_mcp.agent.spending import Spent
from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import Event
from agent_mcp.sessions.ports import SessionListing, SessionRecord, TurnRef
from agent_mcp.store import queries, upkeep_queries
from agent_mcp.store.blobs import blobs_of, put_back
from agent_mcp.store.codec import decode, decode_profile
from agent_mcp.store.connect import connect_reader
from agent_mcp.store.faults import closed_error, store_error
from agent_mcp.store.listing import Wanted, read_page

INLINE_EVENTS = 64
"""Up to this many new events are read in the event loop (under 1 ms); more go to a thread."""
MAX_READING_THREADS = 4

_T = TypeVar("_T")


class Reader:
    """One connection for the event loop, and a few more for worker threads."""

    def __init__(self, path: Path) -> None:
        """Raises: sqlite3.Error: the database cannot be opened."""
        self._path = path
        self._here = connect_reader(path)
        self._spare: deque[sqlite3.Connection] = deque()
        self._limiter = anyio.CapacityLimiter(MAX_READING_THREADS)
        self._closed = False

    def session(self, session_id: str) -> SessionRecord | None:
        """The session's row."""
        rows = self._rows(queries.SESSION, (session_id,))
        return _to_record(rows[0]) if rows else None

    def head(self, session_id: str) -> int:
        """The sequence number of the newest event; 0 for an unknown session."""
        rows = self._rows(queries.HEAD, (session_id,))
        return rows[0][0] if rows else 0

    async def events(self, session_id: str, after: int) -> Sequence[Event]:
        """The log after `after`."""
        if self.head(session_id) - after <= INLINE_EVENTS:
            return self._here_and_now(lambda connection: _events(connection, session_id, after))
        return await self.in_thread(lambda connection: _events(connection, session_id, after))

    async def listing(self, wanted: Wanted) -> Sequence[SessionListing]:
        """A page of a principal's sessions, or of everybody's, by last update, newest first."""
        return await self.in_thread(lambda connection: read_page(connection, wanted))

    def first_unfinished(self) -> Sequence[TurnRef]:
        """The first turn of each session that has not ended, whoever owns it."""
        return [TurnRef(*row) for row in self._rows(queries.UNFINISHED, ())]

    def count_unfinished(self, principal: str | None) -> int:
        """Turns that have not ended, in all sessions or in a principal's."""
        if principal is None:
            return self._rows(queries.COUNT_UNFINISHED, ())[0][0]
        return self._rows(queries.COUNT_UNFINISHED_OF, (principal,))[0][0]

    def spent(self, day: str, principal: str, agent: str | None) -> Spent:
        """What was charged to a principal on a day, for one agent or for all."""
        rows = self._rows(queries.SPENT, {"day": day, "principal": principal, "agent": agent})
        return Spent(**dict(zip(queries.FIGURES, rows[0], strict=True)))

    def count_open(self, principal: str) -> int:
        """A principal's sessions that are not closed."""
        return self._rows(queries.COUNT_OPEN, (principal,))[0][0]

    def data_version(self) -> int:
        """Changes whenever any other connection, the writer's included, has committed. Takes 3 µs.

        https://www.sqlite.org/pragma.html#pragma_data_version
        """
        return self._rows(queries.DATA_VERSION, ())[0][0]

    def close(self) -> None:
        """Close all connections; those in use by a thread when it is done."""
        self._closed = True
        self._here.close()
        while self._spare:
            self._spare.pop().close()

    def _rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any]) -> Sequence[Any]:
        return self._here_and_now(lambda connection: connection.execute(sql, parameters).fetchall())

    def _here_and_now(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._closed:
            raise closed_error(self._path)
        try:
            return read(self._here)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error

    async def in_thread(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `read` finds on a connection of a worker thread."""
        if self._closed:
            raise closed_error(self._path)
        return await anyio.to_thread.run_sync(self._borrow, read, limiter=self._limiter)

    def _borrow(self, read: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            connection = self._spare.pop() if self._spare else connect_reader(self._path)
            try:
                return read(connection)
            finally:
                self._give_back(connection)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._spare.append(connection)


def _events(connection: sqlite3.Connection, session_id: str, after: int) -> Sequence[Event]:
    rows = connection.execute(queries.EVENTS, (session_id, after)).fetchall()
    return [
        Event(seq, turn, at, decode(kind, whole(connection, kind, data)))
        for seq, turn, at, kind, data in rows
    ]


def whole(connection: sqlite3.Connection, kind: str, data: str) -> str:
    """A stored event's JSON with its blobs put back.

    Raises:
        StoreError: one is missing: its session was deleted a moment ago, or the file is damaged.
    """
    hashes = blobs_of(kind, data)
    if not hashes:
        return data
    blobs = {
        hashed: row[0] for hashed in hashes for row in connection.execute(upkeep_queries.BLOB, (hashed,))
    }
    try:
        return put_back(data, blobs)
    except KeyError as error:
        raise StoreError(
            f"the stored content {error.args[0]} is missing", hint="read the session again"
        ) from error


def _to_record(row: Any) -> SessionRecord:
    session_id, head, config, created, updated, parent, origin, principal = row
    return SessionRecord(
        id=session_id,
        head=head,
        profile=decode_profile(config),
        created_at=created,
        updated_at=updated,
        forked_from=parent,
        origin=origin,
        principal=principal,
    )
