"""Answers from outside: what waits over all sessions and principals, and which answers are refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent_mcp.errors import ApprovalNotFoundError
from agent_mcp.sessions.approvals import answer, waiting_calls
from agent_mcp.sessions.events import ApprovalGiven, Event, EventData
from agent_mcp.sessions.gates import APPROVAL_SECONDS
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.profile import ApprovalRules, Budget, Profile
from agent_mcp.sessions.start import StartRequest
from tests.support.world import FunctionTools, World, calls, open_world, says

pytestmark = pytest.mark.anyio

PROFILE = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(ask=("*",)))
PLAN = (calls(("t__book", {"item": "b"})), says("done"))


async def _book(arguments: dict[str, object]) -> str:
    return "booked"


async def _start(world: World, session_id: str, principal: str = "") -> None:
    service = world.service.for_principal(principal)
    await service.start(StartRequest(message="go"), session_id=session_id, wait_seconds=10)


async def test_calls_of_all_principals_wait_in_one_list_and_an_answer_lets_the_turn_go_on(
    tmp_path: Path,
) -> None:
    tools = FunctionTools({"book": _book})
    with anyio.fail_after(20):
        async with open_world(tmp_path, *PLAN, profile=PROFILE, tools=tools) as world:
            await _start(world, "mine")
            await _start(world, "hers", "ada")
            logs = SessionLogs(world.store)
            waiting = await waiting_calls(world.store, logs)
            assert [each.session_id for each in waiting] == ["mine", "hers"]
            given = ApprovalGiven(waiting[1].call.call.id, "allow")
            await answer(world.store, logs, given, now=world.clock.now())
            report = await world.service.for_principal("ada").send("hers", None, wait_seconds=10)
            left = await waiting_calls(world.store, logs)
    assert (report.status, report.text) == ("idle", "done")
    assert [each.session_id for each in left] == ["mine"]


async def test_an_approval_and_its_turn_survive_a_clock_that_is_set_back(tmp_path: Path) -> None:
    tools = FunctionTools({"book": _book})
    profile = replace(PROFILE, budget=Budget(seconds=60))
    with anyio.fail_after(20):
        async with open_world(tmp_path, *PLAN, profile=profile, tools=tools) as world:
            await _start(world, "mine")
            world.clock.ahead_seconds = -3600
            logs = SessionLogs(world.store)
            (waiting,) = await waiting_calls(world.store, logs)
            given = ApprovalGiven(waiting.call.call.id, "allow")
            await answer(world.store, logs, given, now=world.clock.now())
            report = await world.service.send("mine", None, wait_seconds=10)
            times = [event.at for event in await world.store.read("mine")]
    assert (report.text, report.stop_reason) == ("done", "end_turn")
    assert times == sorted(times)


async def test_an_expired_call_is_not_answered(tmp_path: Path) -> None:
    tools = FunctionTools({"book": _book})
    with anyio.fail_after(20):
        async with open_world(tmp_path, *PLAN, profile=PROFILE, tools=tools) as world:
            await _start(world, "mine")
            logs = SessionLogs(world.store)
            (waiting,) = await waiting_calls(world.store, logs)
            given = ApprovalGiven(waiting.call.call.id, "allow")
            with pytest.raises(ApprovalNotFoundError, match="expired"):
                await answer(world.store, logs, given, now=world.clock.now() + APPROVAL_SECONDS)
    assert tools.called == []


async def test_of_two_answers_at_once_the_second_learns_that_it_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = FunctionTools({"book": _book})
    with anyio.fail_after(20):
        async with open_world(tmp_path, *PLAN, profile=PROFILE, tools=tools) as world:
            await _start(world, "mine")
            logs = SessionLogs(world.store)
            (waiting,) = await waiting_calls(world.store, logs)
            call_id = waiting.call.call.id
            append = world.store.append

            async def overtaken(session_id: str, turn: int, events: Sequence[EventData]) -> Sequence[Event]:
                monkeypatch.undo()
                await append(session_id, turn, [ApprovalGiven(call_id, "deny")])
                return await append(session_id, turn, events)

            monkeypatch.setattr(world.store, "append", overtaken)
            with pytest.raises(ApprovalNotFoundError, match=f"{call_id} was denied already"):
                await answer(world.store, logs, ApprovalGiven(call_id, "allow"), now=world.clock.now())
            report = await world.service.send("mine", None, wait_seconds=10)
    assert (report.text, tools.called) == ("done", [])
