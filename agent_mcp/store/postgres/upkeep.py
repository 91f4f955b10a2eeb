"""The operator's part of the PostgreSQL store: sessions in and out whole, and old ones removed.

Knows no schedule and no file format; when to prune and how an export looks is said elsewhere.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

import anyio.to_thread
import psycopg

from agent_mcp.errors import SessionExistsError, StoreError, session_not_found
from agent_mcp.sessions.events import UserMessageAdded
from agent_mcp.sessions.upkeep import ArchivedTurn, Compaction, Expiry, RawEvent, SessionArchive, StoreSize
from agent_mcp.store.blobs import set_apart
from agent_mcp.store.codec import Encoded, decode, decode_profile
from agent_mcp.store.postgres import blob_writes, queries, writes
from agent_mcp.store.postgres.appends import trace_of
from agent_mcp.store.postgres.database import Connection, Database, Parameters, Transaction
from agent_mcp.store.postgres.faults import store_error
from agent_mcp.store.postgres.labels import agent_of, as_json, search_text

PAGE_CHARACTERS = 4_000_000
"""A page of raw events ends with the one that passes this."""
PAGE_EVENTS = 500
_BATCH = 200

TURNS: Final = """
SELECT n, CASE status WHEN 'done' THEN 'done' ELSE 'queued' END
FROM agent_mcp.turns WHERE session = %(session)s ORDER BY n
"""

RAW_EVENTS: Final = """
SELECT seq, turn, at, kind, data
FROM (
    SELECT *, sum(length(data)) OVER (ORDER BY seq) - length(data) AS before
    FROM (
        SELECT seq, turn, at, kind, data FROM agent_mcp.events
        WHERE session = %(session)s AND seq > %(after)s AND seq <= %(up_to)s
        ORDER BY seq LIMIT %(events)s
    ) AS first
) AS page
WHERE before <= %(characters)s
ORDER BY seq
"""

RESTORE_SESSION: Final = """
INSERT INTO agent_mcp.sessions
    (id, head, epoch, config, origin, principal, parent, created, updated, agent, title, search)
VALUES (%(id)s, %(head)s, 0, %(profile)s, %(origin)s, %(principal)s, %(forked_from)s, %(created_at)s,
    %(updated_at)s, %(agent)s, NULL, %(search)s)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

CLOSE: Final = "UPDATE agent_mcp.sessions SET closed = true WHERE id = %(session)s"

INSERT_EVENT: Final = """
INSERT INTO agent_mcp.events (session, seq, turn, kind, data, at)
VALUES (%(session)s, %(seq)s, %(turn)s, %(kind)s, %(data)s, %(at)s)
"""

_EXPIRED: Final = """
SELECT id FROM agent_mcp.sessions AS s
WHERE (updated < %(before)s OR id IN (
        SELECT id FROM agent_mcp.sessions ORDER BY updated DESC, id DESC OFFSET %(keep)s))
    AND NOT EXISTS (SELECT 1 FROM agent_mcp.turns WHERE session = s.id AND status <> 'done')"""
EXPIRED: Final = f"{_EXPIRED} ORDER BY updated, id LIMIT %(limit)s"
# Those that are written to at this moment are left for the next time, and nobody can begin a turn of the others.
EXPIRED_LOCKED: Final = f"{EXPIRED} FOR UPDATE SKIP LOCKED"
# A turn that was begun between the first look and the lock shows in a later statement only.
STILL_EXPIRED: Final = f"{_EXPIRED} AND id = ANY(%(locked)s)"

LEAD: Final = "SELECT pg_try_advisory_xact_lock(hashtext('agent_mcp upkeep'))"

SIZE: Final = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'agent_mcp' AND c.relkind = 'r'
"""
COUNT_SESSIONS: Final = "SELECT count(*) FROM agent_mcp.sessions"
VACUUM: Final = "VACUUM (SKIP_LOCKED) agent_mcp.sessions, agent_mcp.turns, agent_mcp.events, agent_mcp.blobs"

_FOR_EVER = 2**62


class PostgresUpkeep:
    """`StoreUpkeep` on PostgreSQL."""

    _database: Database

    async def archive(self, session_id: str) -> SessionArchive:
        """See `StoreUpkeep`."""
        archive, _ = await self._database.write(lambda tx: _archive(tx, session_id))
        return archive

    async def raw_events(self, session_id: str, *, after: int, up_to: int) -> Sequence[RawEvent]:
        """See `StoreUpkeep`."""
        page = {"events": PAGE_EVENTS, "characters": PAGE_CHARACTERS}
        rows = await self._database.rows(
            RAW_EVENTS, {"session": session_id, "after": after, "up_to": up_to, **page}
        )
        texts = await blob_writes.whole(self._database, ((kind, data) for _, _, _, kind, data in rows))
        return [
            RawEvent(seq, turn, at, kind, text)
            for (seq, turn, at, kind, _), text in zip(rows, texts, strict=True)
        ]

    async def restore(self, archive: SessionArchive, events: Callable[[], Iterator[RawEvent]]) -> None:
        """See `StoreUpkeep`."""
        await self._database.write(lambda tx: _restore(tx, archive, events()))

    async def expired(self, expiry: Expiry, *, limit: int) -> Sequence[str]:
        """See `StoreUpkeep`."""
        return [session_id for (session_id,) in await self._database.rows(EXPIRED, _bounds(expiry, limit))]

    async def prune(self, expiry: Expiry, *, limit: int) -> Sequence[str]:
        """See `StoreUpkeep`."""
        removed, _ = await self._database.write(lambda tx: _prune(tx, expiry, limit))
        return removed

    async def size(self) -> StoreSize:
        """See `StoreUpkeep`."""
        ((sessions,),) = await self._database.rows(COUNT_SESSIONS, {})
        return StoreSize(sessions, await self._size())

    async def compact(self) -> Compaction:
        """See `StoreUpkeep`. What stands at a table's end goes back to the system, the rest to what comes next."""
        before = await self._size()
        await self._database.alone(_vacuum)
        return Compaction(before, max(0, min(before, await self._size())), 0)

    @asynccontextmanager
    async def upkeep_lead(self) -> AsyncGenerator[bool]:
        """See `StoreUpkeep`. It lasts as long as a transaction on a connection of its own."""
        try:
            connection = await self._database.listen()
        except psycopg.Error as error:
            raise store_error(self._database.url, error) from error
        try:
            async with connection.transaction():
                row = await (await connection.execute(LEAD)).fetchone()
                yield row is not None and bool(row[0])
        finally:
            await connection.close()

    async def _size(self) -> int:
        row = await self._database.row(SIZE, {})
        return row[0] if row else 0


async def _vacuum(connection: Connection) -> None:
    await connection.execute(VACUUM)


async def _archive(tx: Transaction, session_id: str) -> SessionArchive:
    if await tx.row(queries.LOCK, {"session": session_id}) is None:
        raise session_not_found(session_id)
    row = await tx.row(queries.SESSION, {"session": session_id})
    assert row is not None
    _, head, profile, created_at, updated_at, forked_from, origin, principal = row
    return SessionArchive(
        id=session_id,
        profile=profile,
        head=head,
        created_at=created_at,
        updated_at=updated_at,
        forked_from=forked_from,
        origin=origin,
        principal=principal,
        turns=tuple(ArchivedTurn(n, status) for n, status in await tx.rows(TURNS, {"session": session_id})),
    )


async def _restore(tx: Transaction, archive: SessionArchive, events: Iterator[RawEvent]) -> None:
    await _restore_row(tx, archive)
    count, titled = 0, False
    while batch := await anyio.to_thread.run_sync(lambda: list(islice(events, _BATCH))):
        for event in batch:
            count += 1
            if event.seq != count:
                raise StoreError(f"session {archive.id}: event {count} is missing", hint="export it again")
            encoded = await _restore_event(tx, archive.id, event)
            if not titled and isinstance(encoded.data, UserMessageAdded):
                titled = True
                await writes.set_title(tx, archive.id, _agent(archive), encoded)
    if count != archive.head:
        problem = f"session {archive.id}: {count} events where there must be {archive.head}"
        raise StoreError(problem, hint="export it again")


async def _restore_row(tx: Transaction, archive: SessionArchive) -> None:
    agent = _agent(archive)
    row = {
        "id": archive.id,
        "head": archive.head,
        "profile": archive.profile,
        "origin": archive.origin,
        "principal": archive.principal,
        "forked_from": archive.forked_from,
        "created_at": archive.created_at,
        "updated_at": archive.updated_at,
        "agent": as_json(agent),
        "search": search_text(archive.id, agent),
    }
    if await tx.row(RESTORE_SESSION, row) is None:
        problem = f"there is a session {archive.id} already"
        raise SessionExistsError(problem, hint="delete it first, or give --skip-existing")
    made: Parameters = {"session": archive.id, "at": archive.created_at}
    tx.trace = trace_of(archive.id, queries.CREATED, made)
    for turn in archive.turns:
        await tx.run(queries.INSERT_TURN, {"session": archive.id, "turn": turn.n, "status": turn.status})


def _agent(archive: SessionArchive) -> str:
    return agent_of(decode_profile(archive.profile))


async def _restore_event(tx: Transaction, session_id: str, event: RawEvent) -> Encoded:
    kept = set_apart(Encoded(event.kind, event.data, decode(event.kind, event.data)))
    row = {"session": session_id, "seq": event.seq, "turn": event.turn, "kind": event.kind, "at": event.at}
    await tx.run(INSERT_EVENT, {**row, "data": kept.text})
    await blob_writes.keep_of(tx, session_id, event.seq, kept)
    if event.kind == "session_closed":
        await tx.run(CLOSE, {"session": session_id})
    return kept


async def _prune(tx: Transaction, expiry: Expiry, limit: int) -> Sequence[str]:
    bounds = _bounds(expiry, limit)
    locked = [session_id for (session_id,) in await tx.rows(EXPIRED_LOCKED, bounds)]
    still = {session_id for (session_id,) in await tx.rows(STILL_EXPIRED, {**bounds, "locked": locked})}
    removed = [session_id for session_id in locked if session_id in still]
    for session_id in removed:
        await writes.remove(tx, session_id)
    return removed


def _bounds(expiry: Expiry, limit: int) -> dict[str, object]:
    return {
        "before": 0.0 if expiry.before is None else expiry.before,
        "keep": _FOR_EVER if expiry.keep is None else expiry.keep,
        "limit": limit,
    }
