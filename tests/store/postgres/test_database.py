"""Connections that break: what was not done is done again, and what was done is not."""

from collections.abc import AsyncGenerator

import anyio
import psycopg
import pytest

from agent_mcp.agent.spending import Spent
from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import Event, NoteAdded, TurnEnded, UserMessageAdded
from agent_mcp.sessions.ports import Charge, SessionStore
from agent_mcp.sessions.spending import day_of
from agent_mcp.store.open import open_store
from agent_mcp.store.postgres import database
from tests.contracts.store_contract import claimed, data_of, session
from tests.support.postgres import Cluster, requires_postgres
from tests.support.proxy import BreakingWire, open_wire

pytestmark = [pytest.mark.anyio]

APPEND = b"WITH advanced AS"
COMMIT = b"COMMIT"
both_ways = pytest.mark.parametrize("reaches_server", [True, False], ids=["answer lost", "request lost"])


@pytest.fixture
async def wire(cluster: Cluster, database_url: str) -> AsyncGenerator[BreakingWire]:
    """To the server."""
    async with open_wire(cluster.port) as opened:
        yield opened


@pytest.fixture
async def store(cluster: Cluster, shared_database: str, wire: BreakingWire) -> AsyncGenerator[SessionStore]:
    """A store behind the wire."""
    async with open_store(cluster.url(shared_database, port=wire.port)) as opened:
        yield opened


@requires_postgres
@both_ways
async def test_an_append_is_in_the_log_once_whichever_way_its_connection_broke(
    store: SessionStore, wire: BreakingWire, reaches_server: bool
) -> None:
    charge = Charge("p", "a", Spent(steps=1))
    with anyio.fail_after(15):
        await store.create(session("s1"))
        wire.break_on(APPEND, reaches_server=reaches_server)
        stored = await store.append("s1", 0, [NoteAdded("a"), NoteAdded("b")], charge=charge)
        after = await store.append("s1", 0, [NoteAdded("c")])
        assert wire.broken == 1
        assert await store.read("s1") == [*stored, *after]
        assert [event.seq for event in (*stored, *after)] == [1, 2, 3]
        spent = await store.spent(day_of(stored[0].at), principal="p")
    assert spent.steps == 1


@requires_postgres
async def test_an_append_that_the_server_is_still_at_when_its_connection_breaks_is_in_the_log_once(
    store: SessionStore, wire: BreakingWire, database_url: str
) -> None:
    stored: list[Event] = []

    async def append() -> None:
        stored.extend(await store.append("s1", 0, [NoteAdded("a")]))

    await store.create(session("s1"))
    with anyio.fail_after(15):
        async with (
            await psycopg.AsyncConnection.connect(database_url) as other,
            anyio.create_task_group() as group,
        ):
            await other.execute("SELECT 1 FROM agent_mcp.sessions FOR UPDATE")
            wire.break_on(APPEND, reaches_server=True)
            group.start_soon(append)
            await until_one_waits(database_url, 2)
            await other.rollback()
        assert await store.read("s1") == stored
    assert len(stored) == 1


@requires_postgres
@both_ways
async def test_a_message_is_added_once_whichever_way_its_commit_was_lost(
    store: SessionStore, wire: BreakingWire, reaches_server: bool
) -> None:
    with anyio.fail_after(15):
        wire.break_on(COMMIT, reaches_server=reaches_server)
        await store.create(session("s1"))
        wire.break_on(COMMIT, reaches_server=reaches_server)
        submitted = await store.submit("s1", "hello")
        wire.break_on(COMMIT, reaches_server=reaches_server)
        joined = await store.submit("s1", "more")
        assert wire.broken == 3
    assert (submitted.turn, submitted.outcome, joined.outcome) == (1, "new", "joined")
    assert data_of(await store.read("s1")) == [UserMessageAdded("hello"), UserMessageAdded("more")]


@requires_postgres
@both_ways
async def test_a_claim_and_an_end_count_once_whichever_way_their_commits_were_lost(
    store: SessionStore, wire: BreakingWire, reaches_server: bool
) -> None:
    with anyio.fail_after(15):
        await store.create(session("s1"), message="hello")
        wire.break_on(COMMIT, reaches_server=reaches_server)
        claim = await claimed(store, "s1")
        assert (claim.epoch, claim.attempts) == (1, 1)
        wire.break_on(COMMIT, reaches_server=reaches_server)
        assert await store.end_turn(claim, [TurnEnded("end_turn")], unread_after=1)
        wire.break_on(COMMIT, reaches_server=reaches_server)
        await store.delete("s1")
        assert wire.broken == 3
    assert await store.read("s1") == []


@requires_postgres
async def test_a_read_goes_on_over_another_connection(store: SessionStore, wire: BreakingWire) -> None:
    with anyio.fail_after(15):
        await store.create(session("s1"), message="hello")
        wire.break_on(b"SELECT seq", reaches_server=True)
        assert data_of(await store.read("s1")) == [UserMessageAdded("hello")]
    assert wire.broken == 1


@requires_postgres
async def test_a_database_that_stays_away_is_an_error_in_the_end(
    store: SessionStore, wire: BreakingWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.0)
    with anyio.fail_after(15):
        wire.break_on(b"SELECT", reaches_server=False)
        with pytest.raises(StoreError, match="127") as caught:
            await store.get("s1")
    assert "check that PostgreSQL runs" in caught.value.hint


@requires_postgres
async def test_a_cancelled_caller_still_learns_of_its_write(store: SessionStore, database_url: str) -> None:
    stored: list[Event] = []

    async def append() -> None:
        stored.extend(await store.append("s1", 0, [NoteAdded("written")]))

    await store.create(session("s1"))
    with anyio.fail_after(15):
        async with (
            await psycopg.AsyncConnection.connect(database_url) as other,
            anyio.create_task_group() as group,
        ):
            await other.execute("SELECT 1 FROM agent_mcp.sessions FOR UPDATE")
            group.start_soon(append)
            await until_one_waits(database_url)
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                await other.rollback()
        assert await store.read("s1") == stored != []


async def until_one_waits(url: str, number: int = 1) -> None:
    """Return when a connection waits for a lock, or so many do."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher:
        while True:
            cursor = await watcher.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            if len(await cursor.fetchall()) >= number:
                return
            await anyio.sleep(0.01)


@requires_postgres
async def test_an_error_inside_comes_out_as_it_is(database_url: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_store(database_url) as store:
            await store.create(session("s1"))
            raise ZeroDivisionError


@requires_postgres
async def test_a_closed_store_says_that_it_is_closed(database_url: str) -> None:
    async with open_store(database_url) as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await store.get("s1")
