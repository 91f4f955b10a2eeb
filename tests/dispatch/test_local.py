"""Turns as tasks: once at a time, and one's failure is no other's."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import anyio
import pytest

from agent_mcp.dispatch import local
from agent_mcp.dispatch.local import open_dispatcher
from agent_mcp.errors import StoreError
from agent_mcp.sessions.ports import Dispatcher, SessionStore, TurnRef
from agent_mcp.sessions.start import StartRequest
from tests.support.world import open_world, says, until

pytestmark = pytest.mark.anyio


class UnfinishedTurns:
    """As much of a store as a sweep needs."""

    def __init__(self, *answers: Sequence[TurnRef] | Exception) -> None:
        self.answers = list(answers)

    async def unfinished(self) -> Sequence[TurnRef]:
        answer = self.answers.pop(0) if self.answers else ()
        if isinstance(answer, Exception):
            raise answer
        return answer


def store(*answers: Sequence[TurnRef] | Exception) -> SessionStore:
    return cast("SessionStore", UnfinishedTurns(*answers))


async def test_a_turn_runs_once_at_a_time_however_often_it_is_asked_for() -> None:
    ran: list[tuple[str, int]] = []
    gate = anyio.Event()

    async def run(session_id: str, turn: int, dispatcher: Dispatcher) -> None:
        ran.append((session_id, turn))
        await gate.wait()

    with anyio.fail_after(5):
        async with open_dispatcher(store(), run) as dispatcher:
            for _ in range(3):
                dispatcher.enqueue("s", 1)
                await anyio.lowlevel.checkpoint()
            dispatcher.enqueue("s", 2)
            await anyio.wait_all_tasks_blocked()
            assert ran == [("s", 1), ("s", 2)]


async def test_a_failed_turn_harms_no_other_and_the_sweep_comes_back_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "SWEEP_SECONDS", 0.01)
    tries = 0
    done = anyio.Event()

    async def run(session_id: str, turn: int, dispatcher: Dispatcher) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreError("disk full")
        done.set()

    stuck = [TurnRef("s", 1, "running", "me")]
    with anyio.fail_after(5):
        async with open_dispatcher(store(stuck, StoreError("locked"), *[stuck] * 100), run):
            await done.wait()
    assert tries == 2


async def test_a_turn_that_fails_again_and_again_is_tried_ever_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "SWEEP_SECONDS", 0.01)
    tries: list[float] = []

    async def run(session_id: str, turn: int, dispatcher: Dispatcher) -> None:
        tries.append(anyio.current_time())
        raise StoreError("disk full")

    stuck = [TurnRef("s", 1, "running", "me")]
    with anyio.fail_after(10):
        async with open_dispatcher(store(*[stuck] * 1000), run) as dispatcher:
            await until(lambda: len(tries) == 5)
            dispatcher.enqueue("s", 1)  # somebody asks for it: no pause then
            await anyio.wait_all_tasks_blocked()
            assert len(tries) == 6
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries[:5])]
    assert all(pause >= 0.01 * 2**number for number, pause in enumerate(pauses, start=1)), pauses


async def test_a_turn_that_was_queued_while_nobody_ran_is_found_at_start(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path) as w:
            await w.service.start(StartRequest(), session_id="s1", wait_seconds=0)
            await w.store.submit("s1", "hello")
        async with open_world(tmp_path, says("found")) as w:
            # Nobody asks for the session: only the sweep can have found its turn.
            await until(lambda: bool(w.model.requests))
