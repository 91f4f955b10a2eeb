"""`PostgresStore`: the log of all sessions in PostgreSQL, shared by the processes of many machines.

Joins the parts: `writes` says what a write does, `database` what happens when a connection is lost, `news` who hears
of what others write, `owners` whose turns are free.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import LiteralString, TypeVar, assert_never

import anyio
from anyio.abc import TaskGroup
from psycopg.rows import TupleRow

from agent_mcp.agent.spending import Spent
from agent_mcp.config.schema import WorkerSettings
from agent_mcp.errors import session_not_found
from agent_mcp.sessions.events import Event, EventData, UserMessageAdded
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
from agent_mcp.store.blobs import set_apart
from agent_mcp.store.codec import Encoded, decode, decode_profile, encode
from agent_mcp.store.postgres import queries, writes
from agent_mcp.store.postgres.appends import append
from agent_mcp.store.postgres.blob_writes import whole
from agent_mcp.store.postgres.database import Database, Parameters, Work, open_database
from agent_mcp.store.postgres.labels import from_json, search_query
from agent_mcp.store.postgres.migrate import check_schema
from agent_mcp.store.postgres.news import News
from agent_mcp.store.postgres.owners import Lease
from agent_mcp.store.postgres.pins import PostgresPins
from agent_mcp.store.postgres.upkeep import PostgresUpkeep
from agent_mcp.store.queries import FIGURES

_GOODBYE_SECONDS = 0.5

_T = TypeVar("_T")


class PostgresStore(PostgresUpkeep, PostgresPins):
    """`SessionStore` on PostgreSQL; `open_postgres` makes one."""

    def __init__(self, *, database: Database, lease: Lease, group: TaskGroup) -> None:
        self._database = database
        self._lease = lease
        self._group = group
        self._news = News(database, self._read, group)

    @property
    def owner(self) -> str:
        """See `SessionStore`."""
        return self._lease.owner

    async def create(
        self,
        session: NewSession,
        *,
        message: str | None = None,
        events: Sequence[tuple[int, EventData]] = (),
        trace: Mapping[str, str] | None = None,
    ) -> None:
        """See `SessionStore`."""
        first = None if message is None else encode(UserMessageAdded(message, trace=dict(trace or {})))
        past = [(turn, _encoded(data)) for turn, data in events]
        await self._write(lambda tx: writes.create(tx, session, message=first, past=past))

    async def get(self, session_id: str) -> SessionRecord:
        """See `SessionStore`."""
        row = await self._database.row(queries.SESSION, {"session": session_id})
        if row is None:
            raise session_not_found(session_id)
        _, head, config, created, updated, parent, origin, principal = row
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

    async def submit(
        self, session_id: str, message: str, *, trace: Mapping[str, str] | None = None
    ) -> Submitted:
        """See `SessionStore`."""
        encoded = encode(UserMessageAdded(message, trace=dict(trace or {})))
        return await self._write(lambda tx: writes.submit(tx, session_id, encoded))

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
        stored = await append(self._database, session_id, turn, encoded, epoch=epoch, charge=charge)
        self._news.tell(session_id, stored)
        return stored

    async def spent(self, day: str, *, principal: str, agent: str | None = None) -> Spent:
        """See `SessionStore`."""
        row = await self._database.row(queries.SPENT, {"day": day, "principal": principal, "agent": agent})
        return Spent(**dict(zip(FIGURES, row or (), strict=True)))

    async def read(self, session_id: str, *, after: int = 0) -> Sequence[Event]:
        """See `SessionStore`."""
        return await self._read(session_id, after)

    def tail(
        self, session_id: str, *, after: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Event]]]:
        """See `SessionStore`."""
        return self._news.follow(session_id, after)

    async def claim(self, session_id: str, turn: int) -> Claim | None:
        """See `SessionStore`."""
        await self._lease.take(self._group)
        return await self._write(lambda tx: writes.claim(tx, session_id, turn, owner=self.owner))

    async def resign(self) -> None:
        """Have the turns that this process runs be free from now on, for others or for itself."""
        await self._lease.give_up()

    async def aclose(self) -> None:
        """Tell others what they do not know yet, and free this process's turns."""
        with anyio.move_on_after(_GOODBYE_SECONDS):
            await self._news.all_told()
        await self._lease.give_up()

    async def end_turn(
        self, claim: Claim, events: Sequence[EventData], *, unread_after: int | None, reopen: bool = False
    ) -> bool:
        """See `SessionStore`."""
        encoded = [_encoded(data) for data in events]
        end = partial(writes.end_turn, unread_after=unread_after, reopen=reopen)
        return await self._write(lambda tx: end(tx, claim, encoded))

    async def seize(
        self, session_id: str, turn: int, events: Sequence[EventData], *, head: int | None = None
    ) -> bool:
        """See `SessionStore`."""
        encoded = [_encoded(data) for data in events]
        return await self._write(lambda tx: writes.seize(tx, session_id, turn, encoded, head=head))

    async def unfinished(self) -> Sequence[TurnRef]:
        """See `SessionStore`."""
        rows = await self._database.rows(queries.UNFINISHED, {"owner": self.owner})
        return [TurnRef(*row) for row in rows]

    async def count_unfinished(self, principal: str | None = None) -> int:
        """See `SessionStore`."""
        if principal is None:
            return await self._count(queries.COUNT_UNFINISHED, {})
        return await self._count(queries.COUNT_UNFINISHED_OF, {"principal": principal})

    async def count_open(self, principal: str) -> int:
        """See `SessionStore`."""
        return await self._count(queries.COUNT_OPEN, {"principal": principal})

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
        before_at, before_id = before or (None, None)
        parameters = {
            "principal": principal,
            "query": search_query(query),
            "limit": limit,
            "before_at": before_at,
            "before_id": before_id,
        }
        return [_to_listing(row) for row in await self._database.rows(_listing(status), parameters)]

    async def delete(self, session_id: str) -> None:
        """See `SessionStore`."""
        await self._write(lambda tx: writes.delete(tx, session_id))

    async def _read(self, session_id: str, after: int) -> Sequence[Event]:
        rows = await self._database.rows(queries.EVENTS, {"session": session_id, "after": after})
        texts = await whole(self._database, ((kind, data) for _, _, _, kind, data in rows))
        return [
            Event(seq, turn, at, decode(kind, text))
            for (seq, turn, at, kind, _), text in zip(rows, texts, strict=True)
        ]

    async def _write(self, work: Work[_T]) -> _T:
        result, transaction = await self._database.write(work)
        for session_id, events in transaction.stored:
            self._news.tell(session_id, events)
        return result

    async def _count(self, sql: LiteralString, parameters: Parameters) -> int:
        row = await self._database.row(sql, parameters)
        return row[0] if row else 0


def _listing(status: ListedStatus | None) -> LiteralString:
    match status:
        case None:
            return queries.LISTING
        case "closed":
            return queries.LISTING_CLOSED
        case "idle":
            return queries.LISTING_IDLE
        case "unfinished":
            return queries.LISTING_UNFINISHED
        case _:
            assert_never(status)


def _encoded(data: EventData) -> Encoded:
    return set_apart(encode(data))


def _to_listing(row: TupleRow) -> SessionListing:
    session_id, agent, created, updated, title, turns, status, closed = row
    return SessionListing(
        id=session_id,
        agent=from_json(agent),
        created_at=created,
        updated_at=updated,
        turns=turns,
        turn_status=status,
        closed=closed,
        title=from_json(title),
    )


@asynccontextmanager
async def open_postgres(
    url: str, *, clock: Clock | None = None, settings: WorkerSettings | None = None
) -> AsyncGenerator[PostgresStore]:
    """The store in the database at `url`; at the end this process's turns are free.

    Raises:
        ConfigError: this is no address of a PostgreSQL database.
        StoreError: it cannot be reached or refuses us, or its schema is missing, older or newer.
    """
    settings = settings or WorkerSettings()
    now = time.time if clock is None else clock.now
    failure: Exception | None = None
    async with open_database(url, connections=settings.connections, now=now) as database:
        await check_schema(database)
        lease = Lease(
            database, beat_seconds=settings.heartbeat_seconds, limit_seconds=settings.stalled_seconds
        )
        async with anyio.create_task_group() as group:
            store = PostgresStore(database=database, lease=lease, group=group)
            try:
                yield store
            except Exception as error:
                # Not through the group, which would wrap it: what fails inside comes out as it is.
                failure = error
            finally:
                with anyio.CancelScope(shield=True):
                    await store.aclose()
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure
