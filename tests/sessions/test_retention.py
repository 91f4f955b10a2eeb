"""Retention: what is old goes by itself, by one process, and nothing else does."""

import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from agent_mcp.errors import StoreError
from agent_mcp.sessions import retention
from agent_mcp.sessions.events import TurnEnded
from agent_mcp.sessions.ports import NewSession, SessionStore
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.retention import Housekeeper, expiry_of
from agent_mcp.sessions.upkeep import Expiry
from agent_mcp.store.open import open_store
from tests.support.world import TestClock

pytestmark = pytest.mark.anyio

DAY_SECONDS = 86_400.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[SessionStore]:
    """With 25 idle sessions and one that has a turn to run."""
    async with open_store(f"sqlite:///{tmp_path}/s.db") as opened:
        for number in range(25):
            await opened.create(NewSession(f"s{number}", Profile()))
        await opened.create(NewSession("busy", Profile()), message="hello")
        yield opened


async def ids(store: SessionStore) -> set[str]:
    """Of all sessions."""
    return {line.id for line in await store.list(principal=None, limit=100)}


def test_days_and_a_number_mean_a_time_and_that_number() -> None:
    assert expiry_of(None, None, now=5.0) is None
    assert expiry_of(2, None, now=3 * DAY_SECONDS) == Expiry(before=DAY_SECONDS)
    assert expiry_of(None, 7, now=5.0) == Expiry(keep=7)


async def test_only_what_is_older_goes_and_never_what_has_a_turn_to_run(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "REST_SECONDS", 0.0)
    keeper = Housekeeper(store, TestClock(), days=1, sessions=None)
    await keeper.tidy()
    assert len(await ids(store)) == 26
    await Housekeeper(store, TestClock(ahead_seconds=2 * DAY_SECONDS), days=1, sessions=None).tidy()
    assert await ids(store) == {"busy"}
    await store.seize("busy", 1, [TurnEnded("cancelled")])
    await Housekeeper(store, TestClock(ahead_seconds=2 * DAY_SECONDS), days=1, sessions=None).tidy()
    assert await ids(store) == set()


async def test_so_many_stay_as_the_config_says(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "REST_SECONDS", 0.0)
    await Housekeeper(store, TestClock(), days=None, sessions=3).tidy()
    assert await ids(store) == {"busy", "s24", "s23"}


async def test_while_another_process_is_at_it_nothing_is_done(store: SessionStore, tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as other, other.upkeep_lead():
        await Housekeeper(store, TestClock(), days=None, sessions=1).tidy()
    assert len(await ids(store)) == 26


async def test_it_comes_first_a_while_after_the_start_and_then_again(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(retention, "REST_SECONDS", 0.0)
    keeper = Housekeeper(store, TestClock(), days=None, sessions=1)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(keeper.run_forever)
            while await ids(store) != {"busy"}:
                await anyio.sleep(0.01)
            await store.create(NewSession("newer", Profile()))
            await store.seize("busy", 1, [TurnEnded("cancelled")])
            while len(await ids(store)) > 1:
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()


async def test_without_a_rule_it_ends_at_once(store: SessionStore) -> None:
    with anyio.fail_after(1):
        await Housekeeper(store, TestClock(), days=None, sessions=None).run_forever()
        await Housekeeper(store, TestClock(), days=None, sessions=None).tidy()


async def test_a_store_that_refuses_is_logged_and_asked_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as closed:
        pass
    with caplog.at_level(logging.WARNING, logger="agent_mcp"):
        await Housekeeper(closed, TestClock(), days=None, sessions=1).tidy()
    assert "could not be removed" in caplog.text
    with pytest.raises(StoreError):
        await closed.prune(Expiry(keep=1), limit=1)
