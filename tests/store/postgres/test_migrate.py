"""The database's schema, and what is said of a database that can't be used."""

import anyio
import pytest

from agent_mcp.cli.db import upgrade_database
from agent_mcp.errors import ConfigError, StoreError
from agent_mcp.store.open import open_store
from agent_mcp.store.postgres import migrate
from agent_mcp.store.postgres.migrate import read_scripts
from tests.support.postgres import Cluster, requires_postgres

pytestmark = pytest.mark.anyio

NEWEST = len(read_scripts())


async def refusal(url: str) -> StoreError:
    """Why a store does not open."""
    with pytest.raises(StoreError) as caught:
        async with open_store(url):
            pass
    return caught.value


@requires_postgres
async def test_an_empty_database_is_refused_until_it_is_upgraded(cluster: Cluster) -> None:
    url = cluster.url(cluster.create("template1"))
    error = await refusal(url)
    assert "no schema for sessions yet" in error.message and "agent-mcp db upgrade" in error.hint
    applied = await upgrade_database(url)
    assert [line.split(":")[0] for line in applied] == [*["sessions"] * NEWEST, "queue"]
    assert await upgrade_database(url) == []
    async with open_store(url) as store:
        assert await store.count_unfinished() == 0


@requires_postgres
async def test_of_two_upgrades_at_once_one_does_the_work(cluster: Cluster) -> None:
    url = cluster.url(cluster.create("template1"))
    steps: list[str] = []

    async def upgrade() -> None:
        steps.extend(await upgrade_database(url))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(upgrade)
    assert len(steps) == len(set(steps)) == NEWEST + 1


@requires_postgres
async def test_a_newer_schema_is_refused_and_left_alone(cluster: Cluster) -> None:
    name = cluster.create()
    cluster.execute("UPDATE agent_mcp.meta SET schema_version = 99", name)
    error = await refusal(cluster.url(name))
    assert "99 is newer" in error.message and "update agent-mcp" in error.hint
    with pytest.raises(StoreError, match="99 is newer"):
        await upgrade_database(cluster.url(name))


@requires_postgres
async def test_an_older_schema_is_refused_until_it_is_upgraded(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.url(cluster.create())
    scripts = [*read_scripts(), "CREATE TABLE agent_mcp.later (x INTEGER)"]
    monkeypatch.setattr(migrate, "read_scripts", lambda: scripts)
    error = await refusal(url)
    assert f"version {NEWEST}, and {NEWEST + 1} is needed" in error.message
    assert "agent-mcp db upgrade" in error.hint
    assert await upgrade_database(url) == [f"sessions: applied migration {NEWEST + 1}"]
    async with open_store(url):
        pass


@requires_postgres
async def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.url(cluster.create())
    scripts = [*read_scripts(), "CREATE TABLE agent_mcp.later (x INTEGER); SELECT 1 / 0"]
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "read_scripts", lambda: scripts)
        with pytest.raises(StoreError, match="division by zero"):
            await upgrade_database(url)
    assert await upgrade_database(url) == []


@requires_postgres
async def test_a_newer_or_foreign_queue_is_refused(cluster: Cluster) -> None:
    name = cluster.create()
    cluster.execute("COMMENT ON TABLE procrastinate_jobs IS 'agent-mcp: 99.00.00_01'", name)
    with pytest.raises(StoreError, match="newer schema"):
        await upgrade_database(cluster.url(name))
    cluster.execute("COMMENT ON TABLE procrastinate_jobs IS NULL", name)
    with pytest.raises(StoreError, match="another program") as caught:
        await upgrade_database(cluster.url(name))
    assert "database of its own" in caught.value.hint


@requires_postgres
async def test_an_older_queue_gets_what_is_missing(cluster: Cluster) -> None:
    name = cluster.create()
    # As the last release before these two left it: they only add.
    undo = "ALTER TYPE procrastinate_job_event_type RENAME VALUE 'retried' TO 'undone'"
    cluster.execute(f"{undo}; DROP FUNCTION procrastinate_retry_job_v2", name)
    cluster.execute("COMMENT ON TABLE procrastinate_jobs IS 'agent-mcp: 03.03.00_01_pre_priority_lock'", name)
    applied = await upgrade_database(cluster.url(name))
    assert [line.split("_")[0] for line in applied][-1].endswith("03.04.00")
    assert cluster.execute("SELECT to_regproc('procrastinate_retry_job_v2') IS NOT NULL", name) == [(True,)]


@requires_postgres
async def test_a_wrong_password_is_said_and_not_repeated(cluster: Cluster) -> None:
    cluster.execute("DROP ROLE IF EXISTS locked; CREATE ROLE locked LOGIN PASSWORD 'right'")
    url = cluster.url("postgres").replace("tester@", "locked:s3cret-pass@")
    error = await refusal(url)
    assert "password" in error.message and "password" in error.hint
    assert "s3cret" not in f"{error.message} {error.hint} {error!r}"


@requires_postgres
async def test_a_database_or_server_that_is_not_there_is_named(cluster: Cluster) -> None:
    error = await refusal(cluster.url("nowhere"))
    assert '"nowhere" does not exist' in error.message and "create the database" in error.hint
    error = await refusal("postgresql://user:s3cret-pass@127.0.0.1:9/db")
    assert "postgresql://127.0.0.1:9/db" in error.message and "check that PostgreSQL runs" in error.hint
    assert "s3cret" not in f"{error.message} {error!r}"


@requires_postgres
async def test_an_address_that_is_none_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        async with open_store("postgresql://user:s3cret%zz@host/db"):
            pass
    assert "s3cret" not in str(caught.value) and "postgresql://" in caught.value.hint
