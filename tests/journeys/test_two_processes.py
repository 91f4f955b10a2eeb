"""Several processes on one store, under load, killed and frozen: light ones, which hold all but MCP and the models."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from agent_mcp.sessions.events import Event, ToolFinished, TurnEnded
from agent_mcp.store.migrate import read_scripts
from agent_mcp.store.open import open_store
from agent_mcp.store.soundness import check_whole
from tests.store.test_migrate import run as run_sql
from tests.support.crash.peer import STEPS, Peer, Place, open_peer

pytestmark = pytest.mark.anyio

SESSIONS = 10
KILLS = 3
"""One more could end a turn that none of four processes got to."""


async def until(condition: Callable[[], bool], *, seconds: float) -> float:
    """How long it took until the condition held."""
    started = time.monotonic()
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.01)
    return time.monotonic() - started


async def read_logs(place: Place, *session_ids: str) -> dict[str, list[Event]]:
    """The logs of these sessions."""
    async with open_store(place.store_url) as store:
        return {session_id: list(await store.read(session_id)) for session_id in session_ids}


def check_log(events: list[Event]) -> None:
    """Whole, with one result for each call and one end."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    results = Counter(event.data.call_id for event in events if isinstance(event.data, ToolFinished))
    assert set(results.values()) <= {1}
    assert sum(isinstance(event.data, TurnEnded) for event in events) == 1


@pytest.mark.parametrize("seed", [1, 2])
async def test_two_processes_under_load_and_random_kills_lose_and_repeat_nothing(
    tmp_path: Path, seed: int
) -> None:
    place, chance = Place(tmp_path), random.Random(seed)
    sessions = [f"s{number}" for number in range(SESSIONS)]
    with anyio.fail_after(40):
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(open_peer(place)) for _ in range(2)]
            for number, session_id in enumerate(sessions):
                await peers[number % 2].ask("start", session_id, "go")
                if number in (2, 5, 8)[:KILLS]:
                    await anyio.sleep(chance.random() * 0.1)
                    victim = chance.randrange(2)
                    peers[victim].kill()
                    peers[victim] = await stack.enter_async_context(open_peer(place))
            # Asked of either, whoever began it: each serves every session.
            ends = [await peers[chance.randrange(2)].ask("send", each, None, 20) for each in sessions]
    assert [(end["stop_reason"], end["text"], end["turn"]) for end in ends] == [
        ("end_turn", "Done.", 1)
    ] * SESSIONS
    for events in (await read_logs(place, *sessions)).values():
        check_log(events)
        assert sum(isinstance(event.data, ToolFinished) for event in events) == STEPS * 2
    effects = Counter(place.effects())
    for session_id in sessions:
        for step in range(STEPS):
            assert effects[f"look {session_id} {step}"] >= 1
            assert effects[f"book {session_id} {step}"] <= 1, "a side effect was silently repeated"
    check_whole(tmp_path / "sessions.db")


async def test_a_process_leaves_a_living_ones_turn_alone_and_takes_a_dead_ones_within_two_seconds(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    with anyio.fail_after(30):
        async with open_peer(place) as first, open_peer(place) as second:
            await first.ask("start", "held", "go")
            await until(lambda: len(place.effects()) == 2, seconds=5)
            watched = await second.ask("send", "held", None, 1.3)  # more than one sweep
            assert (watched["status"], len(place.effects())) == ("running", 2)
            first.kill()
            took = await until(lambda: place.effects().count("look held 0") == 2, seconds=10)
            place.release()
            ended = await second.ask("send", "held", None, 10)
    assert took <= 2
    assert (ended["stop_reason"], ended["calls"][:2]) == ("end_turn", ["ok", "interrupted"])
    assert place.effects().count("book held 0") == 1


async def test_messages_cancels_and_approvals_cross_over(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with anyio.fail_after(30):
        async with open_peer(place) as first, open_peer(place) as second:
            await first.ask("start", "held", "go")
            await until(lambda: len(place.effects()) == 2, seconds=5)
            joined = await second.ask("send", "held", "and more", 0)
            assert (joined["turn"], joined["status"]) == (1, "running")
            started = time.monotonic()
            cancelled = await second.ask("cancel", "held")
            assert (cancelled["stop_reason"], time.monotonic() - started < 2) == ("cancelled", True)
            assert (await first.ask("send", "held", None, 0))["stop_reason"] == "cancelled"
            report = await first.ask("start", "asked", "go")
            while report["stop_reason"] is None:
                for call_id in report["waiting"]:
                    report = await second.ask("allow", "asked", call_id)
                if report["stop_reason"] is None:
                    report = await second.ask("send", "asked", None, 5)
    assert report["stop_reason"] == "end_turn"
    assert Counter(place.effects())["sign asked 0"] == 1
    for events in (await read_logs(place, "held", "asked")).values():
        check_log(events)


async def test_a_frozen_owner_loses_its_turn_to_a_cancel_only_and_is_fenced_when_it_comes_back(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    with anyio.fail_after(30):
        async with open_peer(place) as owner, open_peer(place) as other:
            await owner.ask("start", "held", "go")
            await until(lambda: len(place.effects()) == 2, seconds=5)
            owner.signal(signal.SIGSTOP)
            assert (await other.ask("send", "held", None, 1.3))["status"] == "running"
            assert len(place.effects()) == 2, "a frozen process is not dead"
            started = time.monotonic()
            cancelled = await other.ask("cancel", "held")
            took = time.monotonic() - started
            (before,) = (await read_logs(place, "held")).values()
            place.release()
            owner.signal(signal.SIGCONT)
            assert (await owner.ask("send", "held", None, 5))["stop_reason"] == "cancelled"
            (after,) = (await read_logs(place, "held")).values()
    assert (cancelled["stop_reason"], took < 5) == ("cancelled", True)
    assert cancelled["calls"] == ["interrupted", "interrupted"]
    assert after == before, "what the owner learned while it was frozen is not written"
    check_log(after)


async def test_ten_processes_may_start_at_once_on_a_new_file(tmp_path: Path) -> None:
    place = Place(tmp_path)
    peers: list[Peer] = []

    async def start(stack: AsyncExitStack) -> None:
        peers.append(await stack.enter_async_context(open_peer(place)))

    with anyio.fail_after(30):
        async with AsyncExitStack() as stack:
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(start, stack)
            for number, peer in enumerate(peers):
                assert "error" not in await peer.ask("start", f"s{number}", "go")
            ends = [await peers[-1].ask("send", f"s{number}", None, 10) for number in range(10)]
    assert [end["stop_reason"] for end in ends] == ["end_turn"] * 10
    assert run_sql(tmp_path / "sessions.db", "SELECT schema_version FROM meta") == [(len(read_scripts()),)]
    check_whole(tmp_path / "sessions.db")
