"""procrastinate's own tables: whether they are there and new enough, and bringing them up to date.

procrastinate keeps no note of which of its migrations were applied, so we leave one: the name of the newest, as the
comment of its table of jobs. https://procrastinate.readthedocs.io/en/stable/howto/production/migrations.html
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, LiteralString, cast

from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.schema import SchemaManager

from agent_mcp.errors import StoreError

_NOTE: Final = """
SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there,
    obj_description(to_regclass('procrastinate_jobs'), 'pg_class') AS note
"""
_PREFIX: Final = "agent-mcp: "
_UPGRADE = "run `agent-mcp db upgrade`"


@dataclass(frozen=True, slots=True)
class JobsState:
    """How far procrastinate's schema is, by the names of its migrations."""

    applied: str | None
    """None: there is no schema. Empty: it is somebody else's, of whom we know nothing."""
    newest: str
    """What the installed procrastinate needs."""


@asynccontextmanager
async def open_connector(url: str, *, connections: int) -> AsyncGenerator[PsycopgConnector]:
    """Connections for jobs alone, so that many turns that write do not hold up a heartbeat."""
    # As for the log: no prepared statements, which PgBouncer may lose.
    kwargs = {"prepare_threshold": None, "connect_timeout": 5, "tcp_user_timeout": 10_000}
    connector = PsycopgConnector(
        conninfo=url,
        kwargs=kwargs,
        min_size=1,
        max_size=connections,
        timeout=5.0,
        # Then whoever asks has it begin anew; left alone, the pauses between its tries double for five minutes.
        reconnect_timeout=2.0,
    )
    await connector.open_async()
    try:
        yield connector
    finally:
        await connector.close_async()


async def jobs_state(connector: PsycopgConnector) -> JobsState:
    """How far it is.

    Raises:
        StoreError: the database cannot be read.
    """
    try:
        row = await connector.execute_query_one_async(_NOTE)
    except ConnectorException as error:
        raise StoreError(f"the queue of turns: {error.__cause__ or error}") from error
    if not row["there"]:
        return JobsState(None, _newest())
    note: str = row["note"] or ""
    return JobsState(note.removeprefix(_PREFIX) if note.startswith(_PREFIX) else "", _newest())


async def check_jobs_schema(connector: PsycopgConnector) -> None:
    """That turns can be queued.

    Raises:
        StoreError: the schema is missing, older or newer.
    """
    state = await jobs_state(connector)
    check_jobs_not_newer(state)
    if state.applied is None:
        raise StoreError("the database has no queue of turns yet", hint=_UPGRADE)
    if state.applied < state.newest:
        raise StoreError("the queue of turns has an older schema than procrastinate needs", hint=_UPGRADE)


def check_jobs_not_newer(state: JobsState) -> None:
    """Raises: StoreError: a newer procrastinate has upgraded the schema."""
    if state.applied is not None and state.applied > state.newest:
        problem = "the queue of turns has a newer schema than the installed procrastinate knows"
        raise StoreError(problem, hint="update agent-mcp and procrastinate")


async def upgrade_jobs(connector: PsycopgConnector) -> Sequence[str]:
    """Make the schema, or apply what is missing; the names of the migrations applied.

    Raises:
        StoreError: it is newer, or somebody else made it, or the database refuses.
    """
    state = await jobs_state(connector)
    check_jobs_not_newer(state)
    if state.applied == "":
        problem = "the database has tables of procrastinate that another program made"
        raise StoreError(problem, hint="give agent-mcp a database of its own")
    if state.applied is None:
        await _run(connector, SchemaManager.get_schema(), state.newest)
        return [state.newest]
    missing = [name for name in _migrations() if name > state.applied]
    for name in missing:
        await _run(connector, _script(name), name)
    return missing


async def _run(connector: PsycopgConnector, script: LiteralString, name: str) -> None:
    note = cast("LiteralString", f"COMMENT ON TABLE procrastinate_jobs IS '{_PREFIX}{name}'")
    # One string is one transaction, and its per cent signs are no parameters.
    whole = f"BEGIN;\n{script}\n;{note};\nCOMMIT;".replace("%", "%%")
    try:
        await connector.execute_query_async(whole)
    except ConnectorException as error:
        raise StoreError(f"procrastinate's schema: {error.__cause__ or error}") from error


def _newest() -> str:
    return _migrations()[-1]


def _migrations() -> Sequence[str]:
    folder = files("procrastinate.sql") / "migrations"
    return sorted(file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql"))


def _script(name: str) -> LiteralString:
    file = files("procrastinate.sql") / "migrations" / f"{name}.sql"
    return cast("LiteralString", file.read_text(encoding="utf-8"))
