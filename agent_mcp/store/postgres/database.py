"""Connections to one PostgreSQL database, and what is done when one is lost.

Reads and whole transactions are tried again for `PATIENCE_SECONDS`: a server that is restarted, or a failover, is
waited for. A transaction whose connection broke before its COMMIT was sent has not happened. Where the answer to the
COMMIT was lost nobody knows; then what it wrote is looked for, and only if it is not there it is run again. Knows no
table.
"""

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, TypeAlias, TypeVar
from weakref import WeakSet

import anyio
import psycopg
import psycopg.conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from agent_mcp.sessions.events import Event
from agent_mcp.store.postgres.faults import is_lost, place_of, store_error

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 20.0
"""How long a lost database is waited for before a call fails; the turn itself is tried again later."""
_WAIT_SECONDS = 5.0
"""For a free connection, one time."""
_PAUSE_SECONDS = 0.2
RECONNECT_SECONDS = 2.0
"""How long a pool tries by itself, with pauses that double; whoever asks after that has it begin anew."""

# A peer that vanishes without a word is noticed within seconds and not after the system's two hours. The address may
# say otherwise. No prepared statements: PgBouncer may give the next transaction another server connection.
OPTIONS: Mapping[str, Any] = {"autocommit": True, "prepare_threshold": None}
DEFAULTS: Mapping[str, str] = {
    "connect_timeout": "5",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "application_name": "agent-mcp",
}

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]
Parameters: TypeAlias = Mapping[str, Any]
_T = TypeVar("_T")


@dataclass(slots=True)
class Transaction:
    """One open transaction."""

    connection: Connection
    at: float
    """The time of all its events, in seconds since the epoch."""
    stored: list[tuple[str, Sequence[Event]]] = field(default_factory=list[tuple[str, Sequence[Event]]])
    """What it has added to logs, for those who follow them."""
    trace: "Trace" = ()
    """Empty: it wrote nothing."""

    async def rows(self, sql: LiteralString, parameters: Parameters) -> Sequence[TupleRow]:
        """All rows."""
        cursor = await self.connection.execute(sql, parameters)
        return await cursor.fetchall()

    async def row(self, sql: LiteralString, parameters: Parameters) -> TupleRow | None:
        """The first row, or None."""
        cursor = await self.connection.execute(sql, parameters)
        return await cursor.fetchone()

    async def run(self, sql: LiteralString, parameters: Parameters) -> None:
        """For statements that answer nothing."""
        await self.connection.execute(sql, parameters)


Trace: TypeAlias = Sequence[tuple[LiteralString, Parameters]]
"""Statements of which the last finds something if and only if a transaction was committed. Those before wait for it:
the server may still be at what it was sent over a connection that has broken."""

Work: TypeAlias = Callable[[Transaction], Awaitable[_T]]
"""May run several times, each time in a transaction of its own, so it touches nothing else."""


class Database:
    """The database at one address; `open_database` makes one."""

    def __init__(
        self,
        url: str,
        pool: AsyncConnectionPool[Connection],
        made: WeakSet[Connection],
        now: Callable[[], float],
    ) -> None:
        """`made` holds all connections of the pool that still are."""
        self.url = url
        self.now = now
        self._pool = pool
        self._made = made

    def is_ours(self, pid: int) -> bool:
        """Whether this process of the server works for us: what it tells by NOTIFY we know already."""
        return any(pid == one.info.backend_pid for one in self._made if not one.closed)

    async def rows(self, sql: LiteralString, parameters: Parameters) -> Sequence[TupleRow]:
        """All rows of a query.

        Raises:
            StoreError: the database cannot be read.
        """

        async def read() -> Sequence[TupleRow]:
            async with self._connection() as connection:
                cursor = await connection.execute(sql, parameters)
                return await cursor.fetchall()

        return await self.patiently(read)

    async def row(self, sql: LiteralString, parameters: Parameters) -> TupleRow | None:
        """The first row of a query, or None."""
        rows = await self.rows(sql, parameters)
        return rows[0] if rows else None

    async def once(self, sql: LiteralString, parameters: Parameters) -> None:
        """Run one statement without patience.

        Raises:
            psycopg.Error: it failed.
        """
        async with self._connection() as connection:
            await connection.execute(sql, parameters)

    async def write(self, work: Work[_T]) -> tuple[_T, Transaction]:
        """Run `work` in a transaction, committed when this returns. A cancelled caller does not undo it.

        Raises:
            StoreError: the database refused, or stayed away; then it may still have happened if the answer was lost.
        """
        pending: list[tuple[_T, Transaction]] = []

        async def attempt() -> tuple[_T, Transaction]:
            if pending and await self._was_committed(pending[-1][1]):
                return pending[-1]
            pending.clear()
            async with self._connection() as connection:
                async with connection.transaction():
                    transaction = Transaction(connection, self.now())
                    result = await work(transaction)
                    # From here on the answer may be lost.
                    pending.append((result, transaction))
                return pending[-1]

        return await self.patiently(attempt)

    async def alone(self, statement: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Run what is a transaction by itself, and knows whether it was committed when it is run again.

        Raises:
            StoreError: the database refused, or stayed away.
        """

        async def attempt() -> _T:
            async with self._connection() as connection:
                return await statement(connection)

        return await self.patiently(attempt)

    async def patiently(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """What `attempt` answers, tried again while connections are lost.

        Raises:
            StoreError: it failed for another reason, or time is up.
        """
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                # Whole or not at all, whoever is cancelled meanwhile; between two tries it ends.
                with anyio.CancelScope(shield=True):
                    return await attempt()
            except (psycopg.Error, TimeoutError) as error:
                if not is_lost(error) or time.monotonic() >= give_up:
                    raise store_error(self.url, error) from error
                log.info("%s: lost a connection, trying again", place_of(self.url))
            await anyio.sleep(_PAUSE_SECONDS)
            await self._replace_broken()

    async def listen(self) -> Connection:
        """A connection of its own, outside the pool.

        Raises:
            psycopg.Error: there is none to be had.
        """
        return await psycopg.AsyncConnection.connect(with_defaults(self.url), **OPTIONS)

    async def _was_committed(self, transaction: Transaction) -> bool:
        if not transaction.trace:
            return False
        async with self._connection() as connection:
            return bool(await found(connection, transaction.trace))

    async def _replace_broken(self) -> None:
        with anyio.move_on_after(_WAIT_SECONDS):
            await self._pool.check()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection]:
        async with self._pool.connection(timeout=_WAIT_SECONDS) as connection:
            yield connection


async def found(connection: Connection, trace: Trace) -> Sequence[TupleRow]:
    """What the last statement of a trace finds."""
    rows: Sequence[TupleRow] = ()
    async with connection.transaction():
        for statement in trace:
            cursor = await connection.execute(*statement)
            rows = await cursor.fetchall()
    return rows


def with_defaults(url: str) -> str:
    """The address with our defaults for what it does not say."""
    said = psycopg.conninfo.conninfo_to_dict(url)
    return psycopg.conninfo.make_conninfo(url, **{k: v for k, v in DEFAULTS.items() if k not in said})


@asynccontextmanager
async def open_database(
    url: str, *, connections: int, now: Callable[[], float] = time.time
) -> AsyncGenerator[Database]:
    """The database at `url`, with at most so many connections, opened as they are needed.

    Raises:
        ConfigError: this is no address.
        StoreError: it cannot be reached, or refuses us.
    """
    place_of(url)
    await _check(url)
    made = WeakSet[Connection]()

    async def note(connection: Connection) -> None:
        made.add(connection)

    pool = AsyncConnectionPool[Connection](
        with_defaults(url),
        kwargs=dict(OPTIONS),
        min_size=1,
        max_size=connections,
        open=False,
        configure=note,
        reconnect_timeout=RECONNECT_SECONDS,
    )
    database = Database(url, pool, made, now)
    await pool.open()
    try:
        yield database
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_WAIT_SECONDS):
            await pool.close()


async def _check(url: str) -> None:
    """Connect once: a pool would only say that it took too long."""
    try:
        connection = await psycopg.AsyncConnection.connect(with_defaults(url), **OPTIONS)
    except psycopg.Error as error:
        raise store_error(url, error) from error
    await connection.close()
