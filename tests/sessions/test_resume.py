"""A turn that its process left behind goes on in the next one, by the rules for side effects.

The first world ends while a call runs: a shutdown writes nothing, so for the log it is a crash.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_mcp.agent.messages import UserMessage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.errors import FencedError
from agent_mcp.sessions.events import ApprovalGiven, ModelReplied, ToolFinished, ToolStarted, TurnEnded
from agent_mcp.sessions.ports import Claim, SessionStore
from agent_mcp.sessions.profile import ApprovalRules, Profile
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.start import StartRequest
from agent_mcp.store.open import open_store
from tests.support.world import FunctionTools, Plan, World, calls, open_world, says, until

pytestmark = pytest.mark.anyio


async def hang(arguments: dict[str, Any]) -> str:
    await anyio.sleep_forever()
    return ""


async def done(arguments: dict[str, Any]) -> str:
    return "done"


PLAN: list[Plan] = [calls(("t__work", {"n": 1}), ("t__quick", {})), says("finished")]


async def leave_behind(folder: Path, profile: Profile | None = None, *, flag: str = "") -> None:
    """Run until the quick call is done and the other one hangs; then the process ends."""
    tools = FunctionTools({"work": hang, "quick": done}, {"work": {flag: True} if flag else {}})
    with anyio.fail_after(10):
        async with open_world(folder, *PLAN, tools=tools, profile=profile) as w:
            await w.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=0)
            state = await w.logs.state("s1")
            await until(lambda: [c.status for c in state.calls.values()] == ["running", "ok"])


async def go_on(
    folder: Path, profile: Profile | None = None, *, flag: str = ""
) -> tuple[TurnReport, list[str]]:
    """The next process: the turn's report, and the tools that ran in it."""
    tools = FunctionTools({"work": done, "quick": done}, {"work": {flag: True} if flag else {}})
    with anyio.fail_after(10):
        async with open_world(folder, *PLAN, tools=tools, profile=profile) as w:
            report = await w.service.send("s1", None, wait_seconds=10)
            return report, [name for name, _ in w.tools.called]


@pytest.mark.parametrize("flag", ["read_only", "idempotent"])
async def test_a_call_that_may_be_repeated_is_run_again_and_recorded_ones_are_not(
    tmp_path: Path, flag: str
) -> None:
    await leave_behind(tmp_path, flag=flag)
    report, called = await go_on(tmp_path, flag=flag)
    assert (report.text, called) == ("finished", ["t__work"])


async def test_a_call_that_may_have_had_an_effect_is_not_run_again_and_the_model_is_told(
    tmp_path: Path,
) -> None:
    await leave_behind(tmp_path)
    report, called = await go_on(tmp_path)
    assert (report.text, called) == ("finished", [])
    assert [call.status for call in report.steps[0].calls] == ["interrupted", "ok"]


async def test_a_server_may_ask_for_its_broken_off_calls_to_be_repeated(tmp_path: Path) -> None:
    profile = Profile(agent="a", model="plan", servers=("t",), interrupted={"t": "retry"})
    await leave_behind(tmp_path, profile)
    report, called = await go_on(tmp_path, profile)
    assert (report.text, called) == ("finished", ["t__work"])


@pytest.mark.parametrize(("decision", "ran"), [("allow", ["t__work"]), ("deny", [])])
async def test_a_server_may_have_a_person_asked_about_its_broken_off_calls(
    tmp_path: Path, decision: Any, ran: list[str]
) -> None:
    profile = Profile(agent="a", model="plan", servers=("t",), interrupted={"t": "ask"})
    await leave_behind(tmp_path, profile)
    tools = FunctionTools({"work": done, "quick": done})
    with anyio.fail_after(10):
        async with open_world(tmp_path, *PLAN, tools=tools, profile=profile) as w:
            resting = await w.service.send("s1", None, wait_seconds=10)
            call_id = resting.approvals[0].call.id
            report = await w.service.approve("s1", call_id, decision, wait_seconds=10)
            called = [name for name, _ in w.tools.called]
    assert (report.text, called) == ("finished", ran)


async def test_a_person_is_asked_again_each_time_that_the_call_is_broken_off(tmp_path: Path) -> None:
    profile = Profile(agent="a", model="plan", servers=("t",), interrupted={"t": "ask"})
    await leave_behind(tmp_path, profile)
    with anyio.fail_after(10):
        for _ in range(2):
            tools = FunctionTools({"work": hang, "quick": done})
            async with open_world(tmp_path, *PLAN, tools=tools, profile=profile) as w:
                resting = await w.service.send("s1", None, wait_seconds=10)
                assert tools.called == []
                await w.service.approve("s1", resting.approvals[0].call.id, "allow", wait_seconds=0)
                await until(lambda tools=tools: [name for name, _ in tools.called] == ["t__work"])


async def test_an_answer_that_nothing_came_of_yet_is_not_asked_for_again(tmp_path: Path) -> None:
    profile = Profile(agent="a", model="plan", servers=("t",), interrupted={"t": "ask"})
    await leave_behind(tmp_path, profile)
    with anyio.fail_after(10):
        async with open_world(tmp_path, *PLAN, tools=FunctionTools({"work": hang}), profile=profile) as w:
            resting = await w.service.send("s1", None, wait_seconds=10)
        async with open_store(f"sqlite:///{tmp_path / 'sessions.db'}") as store:
            await store.append("s1", 1, [ApprovalGiven(resting.approvals[0].call.id, "allow")])
    report, called = await go_on(tmp_path, profile)
    assert (report.text, called) == ("finished", ["t__work"])


async def test_a_call_that_may_be_repeated_needs_no_second_approval_for_it(tmp_path: Path) -> None:
    rules = ApprovalRules(ask=("t__work",))
    profile = Profile(agent="a", model="plan", servers=("t",), approvals=rules)
    tools = FunctionTools({"work": hang, "quick": done}, {"work": {"idempotent": True}})
    with anyio.fail_after(10):
        async with open_world(tmp_path, *PLAN, tools=tools, profile=profile) as w:
            resting = await w.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=10)
            await w.service.approve("s1", resting.approvals[0].call.id, "allow", wait_seconds=0)
            await until(lambda: "t__work" in [name for name, _ in tools.called])
    report, called = await go_on(tmp_path, profile, flag="idempotent")
    assert (report.text, called) == ("finished", ["t__work"])


async def test_a_broken_off_call_to_a_tool_that_is_gone_is_interrupted(tmp_path: Path) -> None:
    await leave_behind(tmp_path)
    with anyio.fail_after(10):
        async with open_world(tmp_path, *PLAN, tools=FunctionTools({})) as w:
            report = await w.service.send("s1", None, wait_seconds=10)
    assert report.steps[0].calls[0].status == "interrupted"


async def test_a_turn_whose_process_dies_three_times_without_news_ends_interrupted(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        for _ in range(4):
            async with open_world(tmp_path, asks_for_ever) as w:
                await w.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=0)
                state = await w.logs.state("s1")
                await until(lambda w=w, s=state: bool(w.model.requests) or s.turns[0].ended is not None)
                await w.logs.refresh(state)
        async with open_world(tmp_path, says("late")) as w:
            report = await w.service.send("s1", None, wait_seconds=10)
            await w.service.delivered(report)
            after = await w.service.send("s1", "again", wait_seconds=10)
            texts = [m.text for m in w.model.requests[-1].history if isinstance(m, UserMessage)]
    assert (report.stop_reason, report.status) == ("interrupted", "idle")
    assert (after.text, texts) == ("late", ["go", "again"])


async def asks_for_ever(request: ModelRequest) -> Any:
    await anyio.sleep_forever()


async def test_a_turn_that_is_running_elsewhere_is_left_alone(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, asks_for_ever) as first, open_world(tmp_path, says("mine")) as second:
            await first.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=0)
            await until(lambda: bool(first.model.requests))
            report = await second.service.send("s1", None, wait_seconds=0.5)
            assert (report.status, second.model.requests) == ("running", [])
            cancelled = await second.service.cancel("s1")
    assert cancelled.stop_reason == "cancelled"


async def test_a_frozen_process_loses_its_turn_to_a_cancel_and_can_write_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_mcp.sessions.service.CANCEL_SECONDS", 0.2)
    async with frozen(tmp_path) as (w, owner, claim):
        reply = calls(("t__work", {}))
        replied = ModelReplied(0, reply.parts, reply.stop, reply.usage, read=1)
        started = ToolStarted(reply.tool_calls[0].id, rerun=False)
        await owner.append("s1", 1, [replied, started], epoch=claim.epoch)
        report = await w.service.cancel("s1")
        with pytest.raises(FencedError):
            await owner.append("s1", 1, [ToolFinished(reply.tool_calls[0].id, ())], epoch=claim.epoch)
        with pytest.raises(FencedError):
            await owner.end_turn(claim, [TurnEnded("end_turn")], unread_after=None)
    assert (report.stop_reason, report.steps[0].calls[0].status) == ("cancelled", "interrupted")


async def test_calls_in_the_last_word_of_a_process_that_is_cut_off_are_answered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_mcp.sessions.service.CANCEL_SECONDS", 0.05)
    reply = calls(("t__work", {}))
    last_words = [ModelReplied(0, reply.parts, reply.stop, reply.usage, read=1)]
    async with frozen(tmp_path) as (w, owner, claim):
        seize = w.store.seize

        async def seize_late(*args: Any, **kwargs: Any) -> bool:
            if last_words:
                await owner.append("s1", 1, [last_words.pop()], epoch=claim.epoch)
            return await seize(*args, **kwargs)

        monkeypatch.setattr(w.store, "seize", seize_late)
        report = await w.service.cancel("s1")
    assert (report.stop_reason, report.steps[0].calls[0].status) == ("cancelled", "interrupted")


@asynccontextmanager
async def frozen(folder: Path) -> AsyncGenerator[tuple[World, SessionStore, Claim]]:
    """A process beside one that holds the turn of s1, lives, and does nothing: its store, and its claim."""
    with anyio.fail_after(10):
        async with open_world(folder) as w, open_store(f"sqlite:///{folder / 'sessions.db'}") as owner:
            await w.service.start(StartRequest(), session_id="s1", wait_seconds=0)
            # Not through the service, which would run the turn at once.
            await owner.submit("s1", "go")
            claim = await owner.claim("s1", 1)
            assert claim is not None
            yield w, owner, claim


async def test_a_cancel_that_comes_before_the_turn_was_taken_ends_it_without_asking_the_model(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, asks_for_ever) as w:
            await w.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=0)
            report = await w.service.cancel("s1")
    assert report.stop_reason == "cancelled"
