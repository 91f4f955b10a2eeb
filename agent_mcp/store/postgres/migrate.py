"""The schema `agent_mcp` of a database: numbered files, forward only, under a lock; and what `serve` demands of it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, LiteralString, cast

from agent_mcp.errors import StoreError
from agent_mcp.store.postgres.database import Connection, Database
from agent_mcp.store.postgres.faults import place_of

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('agent_mcp db upgrade'))"
_EXISTS: Final = "SELECT to_regclass('agent_mcp.meta') IS NOT NULL"
_VERSION: Final = "SELECT schema_version FROM agent_mcp.meta"
_STAMP: Final = """
INSERT INTO agent_mcp.meta (schema_version) SELECT %(version)s WHERE NOT EXISTS (SELECT 1 FROM agent_mcp.meta)
"""
_RESTAMP: Final = "UPDATE agent_mcp.meta SET schema_version = %(version)s"
_UPGRADE = "run `agent-mcp db upgrade`"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """How far a database's schema is."""

    version: int
    """0: there is none."""
    newest: int
    """What this version of agent-mcp makes."""


async def schema_state(database: Database) -> SchemaState:
    """How far it is.

    Raises:
        StoreError: the database cannot be read.
    """
    newest = len(read_scripts())
    exists = await database.row(_EXISTS, {})
    if exists is None or not exists[0]:
        return SchemaState(0, newest)
    version = await database.row(_VERSION, {})
    return SchemaState(version[0] if version else 0, newest)


async def check_schema(database: Database) -> None:
    """That the store can be used as it is.

    Raises:
        StoreError: the schema is missing, older or newer.
    """
    state = await schema_state(database)
    check_not_newer(database.url, state)
    if state.version < state.newest:
        what = f"its schema has version {state.version}, and {state.newest} is needed"
        problem = what if state.version else "it has no schema for sessions yet"
        raise StoreError(f"session store {place_of(database.url)}: {problem}", hint=_UPGRADE)


def check_not_newer(url: str, state: SchemaState) -> None:
    """Raises: StoreError: a newer version of agent-mcp has upgraded the schema."""
    if state.version > state.newest:
        problem = f"its schema version {state.version} is newer than {state.newest}, the newest known"
        hint = "update agent-mcp, or name another database in `store`"
        raise StoreError(f"session store {place_of(url)}: {problem}", hint=hint)


@asynccontextmanager
async def upgrading(database: Database) -> AsyncGenerator[None]:
    """While it lasts nobody else upgrades this database.

    Held by a transaction and not by a session, which PgBouncer in transaction mode would not keep for us.
    """
    connection = await database.listen()
    try:
        async with connection.transaction():
            await connection.execute(_LOCK)
            yield
    finally:
        await connection.close()


async def upgrade(database: Database) -> Sequence[int]:
    """Apply what is missing, each file in one transaction; the numbers of those applied. Call it while `upgrading`.

    Raises:
        StoreError: the schema is newer, or the database refuses.
    """
    state = await schema_state(database)
    check_not_newer(database.url, state)
    applied: list[int] = []
    for number, script in enumerate(read_scripts()[state.version :], start=state.version + 1):
        await database.alone(lambda connection, n=number, sql=script: _apply(connection, n, sql))
        applied.append(number)
    return applied


async def _apply(connection: Connection, number: int, script: LiteralString) -> None:
    async with connection.transaction():
        await connection.execute(script)
        await connection.execute(_STAMP, {"version": number})
        await connection.execute(_RESTAMP, {"version": number})


def read_scripts() -> Sequence[LiteralString]:
    """The migrations in order; the first makes version 1."""
    folder = files("agent_mcp.store.postgres") / "migrations"
    found = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    # They are ours: as much a part of the program as any literal.
    return [cast("LiteralString", file.read_text(encoding="utf-8")) for file in found]
