"""`SqliteStore`: the log of all sessions in one SQLite file, shared by the processes of one machine.

Joins the parts: writes go to the writer's thread, reads to the reader, followers hear of both, lock files tell whose
turns are free. What a write does stands in `transactions`.
"""

import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from agent_mcp.agent.spending import Spent
from agent_mcp.errors import session_not_found
from agent_mcp.sessions.events import (
    Event,
    EventData,
    InputShown,
    ModelReplied,
    NoteAdded,
    Sampled,
    ToolFinished,
    ToolsFixed,
    ToolStarted,
    TurnDelivered,
    UserMessageAdded,
)
from agent_mcp.sessions.ports import (
    Charge,
    Claim,
    Clock,
    ListedStatus,
    NewSession,
    SessionListing,
    SessionRecord,
    Submitted,
    TurnRef,
)
from agent_mcp.store import transactions
from agent_mcp.store.blobs import set_apart
from agent_mcp.store.codec import Encoded, encode
from agent_mcp.store.connect import connect_writer, opening, prepare
from agent_mcp.store.listing import Wanted
from agent_mcp.store.locks import Owners
from agent_mcp.store.pins import SqlitePins
from agent_mcp.store.reader import Reader
from agent_mcp.store.tail import Tails
from agent_mcp.store.upkeep import SqliteUpkeep
from agent_mcp.store.writer import Writer


class SqliteStore(SqliteUpkeep, SqlitePins):
    """`SessionStore` on SQLite; `open_sqlite` makes one."""

    def __init__(self, path: Path, *, owners: Owners, reader: Reader, writer: Writer, tails: Tails) -> None:
        super().__init__(path, owners=owners, reader=reader, writer=writer)
        self._tails = tails

    @property
    def owner(self) -> str:
        """See `SessionStore`."""
        return self._owners.me

    async def create(
        self,
        session: NewSession,
        *,
        message: str | None = None,
        events: Sequence[tuple[int, EventData]] = (),
        trace: Mapping[str, str] | None = None,
    ) -> None:
        """See `SessionStore`."""
        first = None if message is None else encode(UserMessageAdded(message, dict(trace or {})))
        past = [(turn, _encoded(data)) for turn, data in events]
        await self._writer.write(lambda tx: transactions.create(tx, session, message=first, past=past))

    async def get(self, session_id: str) -> SessionRecord:
        """See `SessionStore`."""
        record = self._reader.session(session_id)
        if record is None:
            raise session_not_found(session_id)
        return record

    async def submit(
        self, session_id: str, message: str, *, trace: Mapping[str, str] | None = None
    ) -> Submitted:
        """See `SessionStore`."""
        encoded = encode(UserMessageAdded(message, dict(trace or {})))
        return await self._writer.write(lambda tx: transactions.submit(tx, session_id, encoded))

    async def append(
        self,
        session_id: str,
        turn: int,
        events: Sequence[EventData],
        *,
        epoch: int | None = None,
        charge: Charge | None = None,
    ) -> Sequence[Event]:
        """See `SessionStore`."""
        encoded = [_encoded(data) for data in events]
        return await self._writer.write(
            lambda tx: transactions.append(tx, session_id, turn, encoded, epoch=epoch, charge=charge),
            flush=any(_must_survive(data) for data in events),
        )

    async def spent(self, day: str, *, principal: str, agent: str | None = None) -> Spent:
        """See `SessionStore`."""
        return self._reader.spent(day, principal, agent)

    async def read(self, session_id: str, *, after: int = 0) -> Sequence[Event]:
        """See `SessionStore`."""
        return await self._reader.events(session_id, after)

    def tail(
        self, session_id: str, *, after: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Event]]]:
        """See `SessionStore`."""
        return self._tails.follow(session_id, after)

    async def claim(self, session_id: str, turn: int) -> Claim | None:
        """See `SessionStore`."""
        take = partial(transactions.claim, owner=self.owner, is_alive=self._owners.is_alive)
        # Who owned a turn is of no use after a loss of power, which leaves nobody alive.
        return await self._writer.write(lambda tx: take(tx, session_id, turn), flush=False)

    async def end_turn(
        self, claim: Claim, events: Sequence[EventData], *, unread_after: int | None, reopen: bool = False
    ) -> bool:
        """See `SessionStore`."""
        encoded = [_encoded(data) for data in events]
        end = partial(transactions.end_turn, unread_after=unread_after, reopen=reopen)
        return await self._writer.write(lambda tx: end(tx, claim, encoded))

    async def seize(
        self, session_id: str, turn: int, events: Sequence[EventData], *, head: int | None = None
    ) -> bool:
        """See `SessionStore`."""
        encoded = [_encoded(data) for data in events]
        return await self._writer.write(
            lambda tx: transactions.seize(tx, session_id, turn, encoded, head=head)
        )

    async def unfinished(self) -> Sequence[TurnRef]:
        """See `SessionStore`."""
        turns = self._reader.first_unfinished()
        others = {turn.owner for turn in turns if turn.owner is not None and turn.owner != self.owner}
        dead = await anyio.to_thread.run_sync(self._dead, others) if others else ()
        return [turn for turn in turns if turn.owner in (None, self.owner) or turn.owner in dead]

    async def count_unfinished(self, principal: str | None = None) -> int:
        """See `SessionStore`."""
        return self._reader.count_unfinished(principal)

    async def count_open(self, principal: str) -> int:
        """See `SessionStore`."""
        return self._reader.count_open(principal)

    async def list(
        self,
        *,
        principal: str | None = "",
        query: str = "",
        status: ListedStatus | None = None,
        limit: int,
        before: tuple[float, str] | None = None,
    ) -> Sequence[SessionListing]:
        """See `SessionStore`."""
        return await self._reader.listing(Wanted(principal, query, status, limit, before))

    async def delete(self, session_id: str) -> None:
        """See `SessionStore`."""
        remove = partial(transactions.delete, is_alive=self._owners.is_alive)
        await self._writer.write(lambda tx: remove(tx, session_id))

    def _dead(self, owners: set[str]) -> set[str]:
        return {owner for owner in owners if not self._owners.is_alive(owner)}


def _encoded(data: EventData) -> Encoded:
    return set_apart(encode(data))


def _must_survive(data: EventData) -> bool:
    """Whether somebody outside acts on this event: then it is on the disk before they hear of it.

    What was only learned (a reply, a result) is followed by such an event before it has any effect; lost with the
    power, it is asked for again, or the call counts as interrupted, as if the power had gone a moment earlier.
    """
    match data:
        case ModelReplied() | ToolFinished() | ToolsFixed() | NoteAdded() | TurnDelivered():
            return False
        case InputShown() | Sampled():
            return False
        case ToolStarted(rerun=rerun):
            return not rerun
        case _:
            return True


@asynccontextmanager
async def open_sqlite(path: Path, *, clock: Clock | None = None) -> AsyncGenerator[SqliteStore]:
    """The store in the file at `path`, made if it is not there; closed, with everything written, at the end.

    `path` must be resolved: by any name it is the same file, and must have the same lock files.

    Raises:
        StoreError: the file cannot be made, read or written, is damaged, or of a newer version.
    """
    now = time.time if clock is None else clock.now
    owners, reader, connection = await anyio.to_thread.run_sync(_open_parts, path)
    tails = Tails(reader, reader.events)
    writer = Writer(connection, path=path, now=now, on_stored=tails.publish)
    try:
        yield SqliteStore(path, owners=owners, reader=reader, writer=writer, tails=tails)
    finally:
        tails.close()
        await writer.aclose()
        reader.close()
        owners.release()


def _open_parts(path: Path) -> tuple[Owners, Reader, sqlite3.Connection]:
    with opening(path) as locks:
        prepare(path)
        reader, connection = Reader(path), connect_writer(path)
        return Owners(locks), reader, connection
