"""Removing old sessions beside others that write to them."""

import anyio
import psycopg
import pytest

from agent_mcp.sessions.events import TurnEnded, UserMessageAdded
from agent_mcp.sessions.upkeep import Expiry
from agent_mcp.store.open import open_store
from agent_mcp.store.postgres import upkeep
from tests.contracts.store_contract import claimed, data_of, session
from tests.store.postgres.test_database import until_one_waits
from tests.support.postgres import requires_postgres

pytestmark = pytest.mark.anyio

FOUND = "ORDER BY updated, id LIMIT"
WAIT = "AND (SELECT pg_advisory_xact_lock(1)::text) IS NOT NULL"


@requires_postgres
async def test_a_session_that_gets_a_message_while_old_ones_are_looked_for_stays(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FOUND in upkeep.EXPIRED_LOCKED
    held_up = upkeep.EXPIRED_LOCKED.replace(FOUND, f"{WAIT} {FOUND}")
    monkeypatch.setattr(upkeep, "EXPIRED_LOCKED", held_up)
    removed: list[str] = []

    async with open_store(database_url) as store:

        async def prune() -> None:
            removed.extend(await store.prune(Expiry(keep=0), limit=10))

        for session_id in ("s1", "s2"):
            await store.create(session(session_id), message="old")
            await store.end_turn(await claimed(store, session_id), [TurnEnded("end_turn")], unread_after=1)
        with anyio.fail_after(15):
            async with (
                await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other,
                anyio.create_task_group() as group,
            ):
                await other.execute("SELECT pg_advisory_lock(1)")
                group.start_soon(prune)
                await until_one_waits(database_url)
                await store.submit("s1", "new")
                await other.execute("SELECT pg_advisory_unlock(1)")
        assert removed == ["s2"]
        assert UserMessageAdded("new") in data_of(await store.read("s1"))
