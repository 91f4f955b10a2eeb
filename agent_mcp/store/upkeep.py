"""The operator's part of the SQLite store: sessions in and out whole, old ones removed, the file made smaller.

Knows no schedule and no file format; when to prune and how an export looks is said elsewhere.
"""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import anyio.to_thread

from agent_mcp.errors import SessionExistsError, StoreError, session_not_found
from agent_mcp.sessions.upkeep import ArchivedTurn, Compaction, Expiry, RawEvent, SessionArchive, StoreSize
from agent_mcp.store import queries, upkeep_queries
from agent_mcp.store.blobs import set_apart
from agent_mcp.store.codec import Encoded, decode, decode_profile
from agent_mcp.store.connect import connect_writer
from agent_mcp.store.faults import store_error
from agent_mcp.store.listing import note_event, note_session
from agent_mcp.store.locks import Owners
from agent_mcp.store.reader import Reader, whole
from agent_mcp.store.transactions import Transaction, keep_blobs, remove
from agent_mcp.store.writer import Writer

PAGE_CHARACTERS = 4_000_000
"""A page of raw events ends with the one that passes this."""
_FOR_EVER = 2**62


class SqliteUpkeep:
    """`StoreUpkeep` on SQLite."""

    def __init__(self, path: Path, *, owners: Owners, reader: Reader, writer: Writer) -> None:
        self._path = path
        self._owners = owners
        self._reader = reader
        self._writer = writer

    async def archive(self, session_id: str) -> SessionArchive:
        """See `StoreUpkeep`."""
        return await self._reader.in_thread(lambda connection: _archive(connection, session_id))

    async def raw_events(self, session_id: str, *, after: int, up_to: int) -> Sequence[RawEvent]:
        """See `StoreUpkeep`."""
        return await self._reader.in_thread(lambda found: _page(found, session_id, after, up_to))

    async def restore(self, archive: SessionArchive, events: Callable[[], Iterator[RawEvent]]) -> None:
        """See `StoreUpkeep`."""
        await self._writer.write(lambda tx: _restore(tx, archive, events()))

    async def expired(self, expiry: Expiry, *, limit: int) -> Sequence[str]:
        """See `StoreUpkeep`."""
        return await self._reader.in_thread(lambda connection: _expired(connection, expiry, limit))

    async def prune(self, expiry: Expiry, *, limit: int) -> Sequence[str]:
        """See `StoreUpkeep`."""
        return await self._writer.write(lambda tx: _prune(tx, expiry, limit))

    async def size(self) -> StoreSize:
        """See `StoreUpkeep`."""
        return await self._reader.in_thread(_size)

    async def compact(self) -> Compaction:
        """See `StoreUpkeep`. SQLite copies the whole file for it, and nobody can write meanwhile: so only alone."""
        if others := await anyio.to_thread.run_sync(self._owners.others):
            pages = await self._reader.in_thread(_pages)
            return _compaction(pages, pages, f"{others} other processes have the store open")
        return await anyio.to_thread.run_sync(partial(_vacuum, self._path))

    @asynccontextmanager
    async def upkeep_lead(self) -> AsyncGenerator[bool]:
        """See `StoreUpkeep`."""
        with self._owners.leading() as leads:
            yield leads


def _archive(connection: sqlite3.Connection, session_id: str) -> SessionArchive:
    connection.execute("BEGIN")  # both rows of one moment
    try:
        row = connection.execute(upkeep_queries.ARCHIVE, (session_id,)).fetchone()
        turns = connection.execute(upkeep_queries.ARCHIVED_TURNS, (session_id,)).fetchall()
    finally:
        connection.execute("ROLLBACK")
    if row is None:
        raise session_not_found(session_id)
    _, profile, head, created_at, updated_at, forked_from, origin, principal = row
    return SessionArchive(
        id=session_id,
        profile=profile,
        head=head,
        created_at=created_at,
        updated_at=updated_at,
        forked_from=forked_from,
        origin=origin,
        principal=principal,
        turns=tuple(ArchivedTurn(n, status) for n, status in turns),
    )


def _page(connection: sqlite3.Connection, session_id: str, after: int, up_to: int) -> Sequence[RawEvent]:
    page: list[RawEvent] = []
    characters = 0
    with closing(connection.execute(upkeep_queries.RAW_EVENTS, (session_id, after, up_to))) as rows:
        for seq, turn, at, kind, data in rows:
            page.append(RawEvent(seq, turn, at, kind, whole(connection, kind, data)))
            characters += len(page[-1].data)
            if characters > PAGE_CHARACTERS:
                break
    return page


def _restore(tx: Transaction, archive: SessionArchive, events: Iterator[RawEvent]) -> None:
    if tx.row(upkeep_queries.RESTORE_SESSION, asdict(archive)) is None:
        raise SessionExistsError(
            f"there is a session {archive.id} already", hint="delete it first, or give --skip-existing"
        )
    note_session(tx.connection, archive.id, decode_profile(archive.profile).agent)
    for turn in archive.turns:
        tx.run(queries.INSERT_TURN, (archive.id, turn.n, turn.status))
    count = 0
    for count, event in enumerate(events, start=1):
        if event.seq != count:
            raise StoreError(f"session {archive.id}: event {count} is missing", hint="export it again")
        _restore_event(tx, archive.id, event)
    if count != archive.head:
        problem = f"session {archive.id}: {count} events where there must be {archive.head}"
        raise StoreError(problem, hint="export it again")


def _restore_event(tx: Transaction, session_id: str, event: RawEvent) -> None:
    kept = set_apart(Encoded(event.kind, event.data, decode(event.kind, event.data)))
    tx.run(queries.INSERT_EVENT, (session_id, event.seq, event.turn, event.kind, kept.text, event.at))
    note_event(tx.connection, session_id, kept)
    keep_blobs(tx, session_id, event.seq, kept)


def _expired(connection: sqlite3.Connection, expiry: Expiry, limit: int) -> Sequence[str]:
    parameters = {
        "before": 0.0 if expiry.before is None else expiry.before,
        "keep": _FOR_EVER if expiry.keep is None else expiry.keep,
        "limit": limit,
    }
    return [session_id for (session_id,) in connection.execute(upkeep_queries.EXPIRED, parameters).fetchall()]


def _prune(tx: Transaction, expiry: Expiry, limit: int) -> Sequence[str]:
    removed = _expired(tx.connection, expiry, limit)
    for session_id in removed:
        remove(tx, session_id)
    return removed


def _vacuum(path: Path) -> Compaction:
    try:
        with closing(connect_writer(path)) as connection:
            before = _pages(connection)
            if before[1]:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return _compaction(before, _pages(connection))
    except sqlite3.OperationalError as error:
        raise store_error(path, error) from error


def _size(connection: sqlite3.Connection) -> StoreSize:
    pages, free, page_bytes = _pages(connection)
    (sessions,) = connection.execute(upkeep_queries.COUNT_SESSIONS).fetchone()
    return StoreSize(sessions, (pages - free) * page_bytes)


def _pages(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Pages in the file, those of them that are free, and bytes in each."""
    return connection.execute(upkeep_queries.PAGES).fetchone()


def _compaction(before: tuple[int, int, int], after: tuple[int, int, int], hindrance: str = "") -> Compaction:
    (pages_before, _, size), (pages_after, free, _) = before, after
    return Compaction(pages_before * size, pages_after * size, free * size, hindrance if free else "")
