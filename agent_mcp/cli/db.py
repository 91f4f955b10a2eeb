"""`agent-mcp db`: the schema of a store in PostgreSQL, ours and the queue's. A SQLite file needs neither command."""

import os
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec

from agent_mcp.cli.lifetime import run_to_end
from agent_mcp.cli.startup import configure
from agent_mcp.errors import ConfigError
from agent_mcp.store.open import default_store_url, is_postgres

_SQLITE = "the store is a SQLite file: it is brought up to date whenever it is opened"


def run(options: Namespace) -> int:
    """Upgrade, or say how far the schema is: 0 if it is up to date, else 1.

    Raises:
        ConfigError: the config is wrong.
        StoreError: the database cannot be reached, or its schema is newer than this program.
    """
    url = configure(options).store or default_store_url(os.environ)
    if not is_postgres(url):
        print(_SQLITE)
        return 0
    return run_to_end(partial(_upgrade if options.action == "upgrade" else _status, url))


async def _upgrade(url: str) -> int:
    applied = await upgrade_database(url)
    for line in applied:
        print(line)
    print("the database is up to date")
    return 0


async def upgrade_database(url: str) -> Sequence[str]:
    """Bring both schemas up to date, one process at a time; a line for each step taken.

    Raises:
        ConfigError, StoreError: it could not be done; each step is done whole or not at all.
    """
    _check_driver()
    from agent_mcp.dispatch.jobs_schema import open_connector, upgrade_jobs
    from agent_mcp.store.postgres.database import open_database
    from agent_mcp.store.postgres.migrate import upgrade, upgrading

    async with open_database(url, connections=1) as database, upgrading(database):
        sessions = [f"sessions: applied migration {number}" for number in await upgrade(database)]
        async with open_connector(url, connections=1) as connector:
            return [*sessions, *(f"queue: applied {name}" for name in await upgrade_jobs(connector))]


async def _status(url: str) -> int:
    _check_driver()
    from agent_mcp.dispatch.jobs_schema import jobs_state, open_connector
    from agent_mcp.store.postgres.database import open_database
    from agent_mcp.store.postgres.migrate import schema_state

    async with open_database(url, connections=1) as database, open_connector(url, connections=1) as connector:
        ours, jobs = await schema_state(database), await jobs_state(connector)
    print(f"sessions: version {ours.version} of {ours.newest}")
    print(f"queue: {jobs.applied or 'none'} of {jobs.newest}")
    current = ours.version == ours.newest and jobs.applied == jobs.newest
    older = ours.version < ours.newest or (jobs.applied or "") < jobs.newest
    print("up to date" if current else f"run {'`agent-mcp db upgrade`' if older else 'a newer agent-mcp'}")
    return 0 if current else 1


def _check_driver() -> None:
    if missing := [name for name in ("psycopg", "psycopg_pool", "procrastinate") if find_spec(name) is None]:
        problem = f"a store in PostgreSQL needs {', '.join(missing)}"
        raise ConfigError("store", problem, hint="pip install 'agent-mcp[postgres]'")
