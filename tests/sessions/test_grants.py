"""What an approval allows beyond its call, and how answers are told apart, through the service."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_mcp.agent.messages import ToolResults
from agent_mcp.sessions.approvals import answer, waiting_calls
from agent_mcp.sessions.events import ApprovalGiven, GrantScope
from agent_mcp.sessions.gates import APPROVAL_SECONDS
from agent_mcp.sessions.grants import Grants, digest_of
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.profile import ApprovalRules, Profile
from agent_mcp.sessions.start import StartRequest
from agent_mcp.sessions.transcript import entries
from tests.support.world import FunctionTools, World, calls, open_world, says, until

pytestmark = pytest.mark.anyio

ASK = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(ask=("t__book",)))


async def _book(arguments: dict[str, Any]) -> str:
    return "booked"


def desk(*names: str) -> FunctionTools:
    return FunctionTools(dict.fromkeys(names or ("book",), _book))


async def begin(world: World, session_id: str = "s") -> list[str]:
    """The ids of the calls that wait once the first turn rests."""
    report = await world.service.start(StartRequest(message="go"), session_id=session_id, wait_seconds=10)
    return [call.call.id for call in report.approvals]


async def folded(world: World, session_id: str = "s") -> SessionState:
    """The state as a fresh reader of the log sees it."""
    return await SessionLogs(world.store).state(session_id)


def words_of_last_result(world: World) -> str:
    """What the model read of its last calls."""
    results = world.model.requests[-1].history[-1]
    assert isinstance(results, ToolResults)
    return results.results[0].text


@pytest.mark.parametrize(
    ("scope", "second", "asked"),
    [("once", "x", True), ("arguments", "x", False), ("arguments", "y", True), ("session", "y", False)],
)
async def test_a_grant_lets_through_what_it_covers_and_nothing_else(
    tmp_path: Path, scope: GrantScope, second: str, asked: bool
) -> None:
    plan = (
        calls(("t__book", {"item": "x", "n": 1})),
        calls(("t__book", {"n": 1, "item": second})),
        says("done"),
    )
    with anyio.fail_after(20):
        async with open_world(tmp_path, *plan, profile=ASK, tools=desk()) as w:
            (call_id,) = await begin(w)
            report = await w.service.approve("s", call_id, "allow", scope=scope, wait_seconds=10)
    assert (report.status == "needs_approval") is asked
    assert len(w.tools.called) == (1 if asked else 2)


async def test_a_grant_outlives_a_restart_and_is_not_taken_along_by_a_fork(tmp_path: Path) -> None:
    plan = (calls(("t__book", {})), says("one"), calls(("t__book", {})), says("two"))
    with anyio.fail_after(20):
        async with open_world(tmp_path, *plan, profile=ASK, tools=desk()) as w:
            (call_id,) = await begin(w)
            await w.service.approve("s", call_id, "allow", scope="session", wait_seconds=10)
        async with open_world(tmp_path, *plan, profile=ASK, tools=desk()) as w:
            fork = await w.service.fork("s", at_step=None)
            forked = await w.service.send(fork.session_id, "again", wait_seconds=10)
            report = await w.service.send("s", "again", wait_seconds=10)
            state = await folded(w)
    assert forked.status == "needs_approval"
    assert (report.text, len(w.tools.called)) == ("two", 1)
    shown = [entry for entry in entries(state, "full") if entry["type"] == "tool_call"]
    assert (shown[0]["rule"], shown[0]["approval"]) == ("ask: t__book", "allowed for the session")
    assert shown[1]["rule"] == "the user allowed this tool for the session (ask: t__book)"


async def test_a_grant_answers_the_calls_that_wait_beside_it(tmp_path: Path) -> None:
    plan = (calls(("t__book", {"n": 1}), ("t__book", {"n": 2})), says("done"))
    with anyio.fail_after(20):
        async with open_world(tmp_path, *plan, profile=ASK, tools=desk()) as w:
            first, second = await begin(w)
            report = await w.service.approve("s", first, "allow", scope="session", wait_seconds=10)
            decision = (await folded(w)).calls[second].decision
    assert (report.text, len(w.tools.called)) == ("done", 2)
    assert decision == ApprovalGiven(second, "allow", how="granted")


async def test_calls_that_need_no_approval_do_not_wait_for_those_that_do(tmp_path: Path) -> None:
    plan = (calls(("t__book", {}), ("t__look", {})), says("done"))
    with anyio.fail_after(20):
        async with open_world(tmp_path, *plan, profile=ASK, tools=desk("book", "look")) as w:
            report = await w.service.start(StartRequest(message="go"), session_id="s", wait_seconds=10)
    assert [call.status for call in report.steps[0].calls] == ["waiting", "ok"]
    assert [name for name, _ in w.tools.called] == ["t__look"]


async def test_an_answer_from_outside_never_counts_for_another_call(tmp_path: Path) -> None:
    plan = (calls(("t__book", {"n": 1}), ("t__book", {"n": 2})), says("done"))
    with anyio.fail_after(20):
        async with open_world(tmp_path, *plan, profile=ASK, tools=desk()) as w:
            first, second = await begin(w)
            given = ApprovalGiven(second, "allow", scope="arguments")
            await answer(w.store, SessionLogs(w.store), given, now=w.clock.now())
            await until(lambda: w.tools.called != [])
            waiting = [each.call.call.id for each in await waiting_calls(w.store, SessionLogs(w.store))]
    assert (waiting, w.tools.called) == ([first], [("t__book", {"n": 2})])


@pytest.mark.parametrize(
    ("shown", "how", "words"),
    [
        (None, "unasked", "nobody could be asked"),
        (False, "expired", "was asked and did not answer in time"),
        (True, "dismissed", "dismissed it without deciding"),
    ],
)
async def test_an_expired_approval_is_a_denial_that_says_whether_anybody_was_asked_once_somebody_calls(
    tmp_path: Path, shown: bool | None, how: str, words: str
) -> None:
    with anyio.fail_after(20):
        async with open_world(
            tmp_path, calls(("t__book", {})), says("so be it"), profile=ASK, tools=desk()
        ) as w:
            (call_id,) = await begin(w)
            if shown is not None:
                await w.service.shown("s", [call_id], dismissed=shown)
            w.clock.ahead_seconds = APPROVAL_SECONDS + 1
            report = await w.service.send("s", None, wait_seconds=10)
            decision = (await folded(w)).calls[call_id].decision
    assert (report.status, report.text, w.tools.called) == ("idle", "so be it", [])
    assert decision is not None and decision.how == how
    assert words_of_last_result(w).startswith("TOOL_DENIED: the request for approval has expired")
    assert words in words_of_last_result(w)


async def test_a_denial_by_a_person_reads_unlike_one_by_time(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with open_world(tmp_path, calls(("t__book", {})), says("ok"), profile=ASK, tools=desk()) as w:
            (call_id,) = await begin(w)
            await w.service.approve("s", call_id, "deny", reason="not today", wait_seconds=10)
    assert words_of_last_result(w) == "TOOL_DENIED: the user declined this call: not today"


def test_a_grant_for_arguments_is_for_equal_ones_in_any_order() -> None:
    assert digest_of({"a": 1, "b": [True]}) == digest_of({"b": [True], "a": 1})
    assert len({digest_of(value) for value in ({"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {}, None)}) == 6


def test_a_grant_does_not_cover_what_its_giver_could_not_know() -> None:
    grants = Grants()
    grants.add("t__book", {}, scope="session", step=3)
    grants.add("t__book", {"n": 1}, scope="arguments", step=3)
    assert grants.holds("t__book", {}, known_from=3, changed_from=0) == "session"
    assert grants.holds("t__book", {}, known_from=4, changed_from=0) is None
    # All of the arguments were seen, so what the session holds since does not matter; what the tool is now does.
    assert grants.holds("t__book", {"n": 1}, known_from=4, changed_from=0) == "arguments"
    assert grants.holds("t__book", {"n": 1}, known_from=4, changed_from=4) is None
    assert grants.holds("t__look", {}, known_from=0, changed_from=0) is None
