"""A clock that is set back, in the middle of the work or between two starts."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_mcp.sessions.events import NoteAdded
from agent_mcp.store.open import open_store
from tests.contracts.store_contract import session

pytestmark = pytest.mark.anyio

HOUR = 3600.0
NOON = 1_800_000_000.0


@dataclass
class SetClock:
    """Shows what a test has set."""

    shows: float = NOON

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.shows

    def monotonic(self) -> float:
        """Not asked for by a store."""
        return 0.0


async def test_events_and_lists_keep_their_order_when_the_clock_is_set_back(path: Path) -> None:
    clock = SetClock()
    async with open_store(f"sqlite:///{path}", clock=clock) as store:
        await store.create(session("s1"), message="hello")
        clock.shows -= HOUR
        for name in ("s2", "s3"):
            await store.create(session(name), message="hello")
        await store.append("s1", 1, [NoteAdded("n")])
        times = [event.at for event in await store.read("s1")]
        listed = [line.id for line in await store.list(limit=9)]
    assert NOON == times[0] < times[1] < NOON + 1
    assert listed == ["s1", "s3", "s2"]


async def test_a_start_with_the_clock_set_back_goes_on_behind_what_is_there(path: Path) -> None:
    async with open_store(f"sqlite:///{path}", clock=SetClock()) as store:
        await store.create(session("s1"), message="hello")
    async with open_store(f"sqlite:///{path}", clock=SetClock(NOON - HOUR)) as store:
        await store.create(session("s2"), message="hello")
        assert [line.id for line in await store.list(limit=9)] == ["s2", "s1"]


async def test_a_clock_that_was_far_ahead_is_not_followed(path: Path) -> None:
    clock = SetClock(NOON + 365 * 24 * HOUR)
    async with open_store(f"sqlite:///{path}", clock=clock) as store:
        await store.create(session("s1"), message="hello")
        clock.shows = NOON
        (event,) = await store.append("s1", 1, [NoteAdded("n")])
    assert event.at == NOON


async def test_time_goes_on_once_the_clock_has_caught_up(path: Path) -> None:
    clock = SetClock()
    async with open_store(f"sqlite:///{path}", clock=clock) as store:
        await store.create(session("s1"), message="hello")
        clock.shows -= HOUR
        await store.append("s1", 1, [NoteAdded("n")])
        clock.shows += HOUR + 5
        (event,) = await store.append("s1", 1, [NoteAdded("n")])
    assert event.at == NOON + 5
