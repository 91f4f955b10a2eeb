"""The use cases, through the front door of the service."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_mcp.agent.messages import Media, Reply, Text, ToolResult, ToolResults, Usage, UserMessage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.errors import (
    ApprovalNotFoundError,
    BudgetExceededError,
    ContextOverflowError,
    InvalidArgumentError,
    MissingApiKeyError,
    SessionBusyError,
    SessionClosedError,
    SessionExistsError,
    SessionNotFoundError,
    TransientModelError,
)
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.ports import NewSession
from agent_mcp.sessions.profile import ApprovalRules, Budget, Profile
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.room import ServiceLimits
from agent_mcp.sessions.start import StartRequest
from agent_mcp.sessions.transcript import entries
from tests.support.world import FunctionTools, OneAgent, Plan, World, calls, open_world, says, until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def world(folder: Path, *plan: Plan, **options: Any) -> AsyncGenerator[World]:
    with anyio.fail_after(15):
        async with open_world(folder, *plan, **options) as opened:
            yield opened


async def start(opened: World, message: str | None = "hi", *, wait: float = 10, **options: Any) -> TurnReport:
    session_id = options.pop("session_id", "s1")
    return await opened.service.start(
        StartRequest(message=message, **options), session_id=session_id, wait_seconds=wait
    )


async def echo(arguments: dict[str, Any]) -> str:
    return str(arguments.get("text", ""))


def echo_tools(**flags: bool) -> FunctionTools:
    return FunctionTools({"echo": echo}, {"echo": flags})


async def test_a_plain_answer_is_one_step_and_ends_the_turn(tmp_path: Path) -> None:
    async with world(tmp_path, says("hello")) as w:
        report = await start(w)
    assert (report.text, report.stop_reason, report.status, report.turn) == ("hello", "end_turn", "idle", 1)
    assert [step.number for step in report.steps] == [0]


async def test_a_second_message_remembers_the_first(tmp_path: Path) -> None:
    async with world(tmp_path, says("one"), says("two")) as w:
        await w.service.delivered(await start(w, "first"))
        report = await w.service.send("s1", "second", wait_seconds=10)
        history = w.model.requests[-1].history
    assert (report.turn, report.text) == (2, "two")
    texts = [m.text for m in history if isinstance(m, UserMessage)]
    assert texts == ["first", "second"]


async def test_parallel_calls_are_answered_in_the_order_asked(tmp_path: Path) -> None:
    async def slow(arguments: dict[str, Any]) -> str:
        await anyio.sleep(arguments["seconds"])
        return str(arguments["seconds"])

    plan = calls(("t__slow", {"seconds": 0.2}), ("t__slow", {"seconds": 0.0}), ("t__slow", {"seconds": 0.1}))
    async with world(tmp_path, plan, says("done"), tools=FunctionTools({"slow": slow})) as w:
        report = await start(w)
        results = w.model.requests[-1].history[-1]
    assert isinstance(results, ToolResults)
    assert [result.text for result in results.results] == ["0.2", "0.0", "0.1"]
    assert [call.status for call in report.steps[0].calls] == ["ok"] * 3
    first = report.steps[0].calls[0].result
    assert first is not None and 180 <= first.duration_ms <= 400


async def test_twenty_calls_in_one_step_give_twenty_results(tmp_path: Path) -> None:
    wanted = [("t__echo", {"text": str(i)}) for i in range(20)]
    async with world(tmp_path, calls(*wanted), says("done"), tools=echo_tools()) as w:
        await start(w)
        results = w.model.requests[-1].history[-1]
    assert isinstance(results, ToolResults)
    assert [r.text for r in results.results] == [str(i) for i in range(20)]


async def test_a_failing_tool_does_not_fail_the_turn(tmp_path: Path) -> None:
    async def fail(arguments: dict[str, Any]) -> ToolResult:
        return ToolResult("", (Text("boom"),), is_error=True, code="TOOL_ERROR")

    async with world(
        tmp_path, calls(("t__fail", {})), says("so be it"), tools=FunctionTools({"fail": fail})
    ) as w:
        report = await start(w)
        summary = await w.service.summary("s1")
    assert (report.text, report.stop_reason) == ("so be it", "end_turn")
    assert report.steps[0].calls[0].status == "error"
    assert (summary.total_tool_calls, summary.successful_tool_calls, summary.failed_tool_calls) == (1, 0, 1)


async def test_a_tool_that_does_not_exist_is_told_to_the_model(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__nope", {})), says("sorry"), tools=echo_tools()) as w:
        report = await start(w)
        results = w.model.requests[-1].history[-1]
    assert report.stop_reason == "end_turn"
    assert isinstance(results, ToolResults)
    assert results.results[0].text.startswith("TOOL_NOT_FOUND")


async def test_an_empty_result_is_a_success(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {})), says("done"), tools=echo_tools()) as w:
        report = await start(w)
    assert report.steps[0].calls[0].status == "ok"


async def test_media_stay_in_the_history_whole(tmp_path: Path) -> None:
    async def picture(arguments: dict[str, Any]) -> ToolResult:
        return ToolResult("", (Media("image/png", "aGVsbG8="),))

    async with world(tmp_path, calls(("t__p", {})), says("seen"), tools=FunctionTools({"p": picture})) as w:
        await start(w)
        results = w.model.requests[-1].history[-1]
    assert isinstance(results, ToolResults)
    assert results.results[0].content == (Media("image/png", "aGVsbG8="),)


async def test_max_steps_runs_the_calls_of_the_last_reply_and_asks_for_a_closing_answer(
    tmp_path: Path,
) -> None:
    again = calls(("t__echo", {"text": "x"}))
    async with world(tmp_path, again, again, says("that is all"), tools=echo_tools()) as w:
        report = await start(w, max_steps=2)
        choices = [request.tool_choice for request in w.model.requests]
    assert (report.stop_reason, report.text) == ("max_steps", "that is all")
    assert choices == ["auto", "auto", "none"]
    assert len(w.tools.called) == 2
    assert [step.number for step in report.steps] == [0, 1, 2]


async def test_calls_of_a_closing_reply_are_not_run(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {})), tools=echo_tools()) as w:
        report = await start(w, max_steps=1)
        state = await w.logs.state("s1")
    assert report.stop_reason == "max_steps"
    assert len(w.tools.called) == 1
    assert report.steps[-1].calls[0].status == "denied"
    assert state.open_calls() == ()


async def test_max_steps_counts_each_turn_anew(tmp_path: Path) -> None:
    async with world(tmp_path, says("a"), says("b"), says("c")) as w:
        await w.service.delivered(await start(w, "1", max_steps=1))
        for text in ("2", "3"):
            report = await w.service.send("s1", text, wait_seconds=10)
            await w.service.delivered(report)
    assert (report.turn, report.stop_reason) == (3, "end_turn")


@pytest.mark.parametrize("stop", ["max_tokens", "refusal"])
async def test_a_cut_or_refused_reply_ends_the_turn_under_its_own_name(tmp_path: Path, stop: Any) -> None:
    async with world(tmp_path, says("half a", stop=stop)) as w:
        report = await start(w)
    assert (report.stop_reason, report.text) == (stop, "half a")


async def test_calls_of_a_cut_reply_are_not_run(tmp_path: Path) -> None:
    reply = calls(("t__echo", {}))
    cut = type(reply)(reply.parts, "max_tokens")
    async with world(tmp_path, cut, tools=echo_tools()) as w:
        report = await start(w)
    assert report.stop_reason == "max_tokens"
    assert not w.tools.called
    assert report.steps[0].calls[0].status == "denied"


async def test_a_paused_reply_is_asked_to_go_on(tmp_path: Path) -> None:
    async with world(tmp_path, says("thinking", stop="pause_turn"), says("done")) as w:
        report = await start(w)
    assert (report.text, len(report.steps)) == ("done", 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransientModelError("529 overloaded"), "MODEL_UNAVAILABLE"),
        (ContextOverflowError("too long"), "CONTEXT_OVERFLOW"),
    ],
)
async def test_a_model_that_fails_ends_the_turn_as_an_error_and_loses_nothing(
    tmp_path: Path, error: Exception, code: str
) -> None:
    async with world(tmp_path, error) as w:
        report = await start(w, "keep me")
        await w.service.delivered(report)
        w.model.plan[0] = says("back")
        again = await w.service.send("s1", "keep me", wait_seconds=10)
        texts = [m.text for m in w.model.requests[-1].history if isinstance(m, UserMessage)]
    assert (report.stop_reason, report.status) == ("error", "idle")
    assert report.problem is not None and report.problem.code == code
    assert (again.turn, again.text) == (2, "back")
    assert texts == ["keep me"]


async def test_a_turn_outlives_the_call_that_started_it(tmp_path: Path) -> None:
    go = anyio.Event()

    async def waits(request: ModelRequest) -> Any:
        await go.wait()
        return says("late")

    async with world(tmp_path, waits) as w:
        running = await start(w, wait=0)
        assert (running.status, running.stop_reason, running.text) == ("running", None, "")
        with anyio.move_on_after(0.05):
            await w.service.send("s1", None, wait_seconds=10)
        go.set()
        report = await w.service.send("s1", None, wait_seconds=10)
    assert (report.text, report.status) == ("late", "idle")


async def test_a_running_result_repeats_no_step(tmp_path: Path) -> None:
    go = anyio.Event()

    async def waits(arguments: dict[str, Any]) -> str:
        await go.wait()
        return "ok"

    tools = FunctionTools({"echo": echo, "wait": waits})
    plan = [calls(("t__echo", {"text": "a"}), text="first"), calls(("t__wait", {})), says("done")]
    async with world(tmp_path, *plan, tools=tools) as w:
        await start(w, wait=0)
        await until(lambda: len(w.tools.called) == 2)
        one = await w.service.send("s1", None, wait_seconds=0)
        two = await w.service.send("s1", None, wait_seconds=0)
        go.set()
        end = await w.service.send("s1", None, wait_seconds=10)
    assert ([s.number for s in one.steps], one.text) == ([0], "first")
    assert list(two.steps) == []
    assert [s.number for s in end.steps] == [0, 1, 2]


async def test_a_running_result_repeats_no_step_while_a_call_waits_for_a_person(tmp_path: Path) -> None:
    async def hang(arguments: dict[str, Any]) -> str:
        await anyio.sleep_forever()
        return ""

    plan = [calls(("t__echo", {})), calls(("t__hang", {}), ("t__ask", {}))]
    tools = FunctionTools({"echo": echo, "hang": hang, "ask": echo})
    profile = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(ask=("t__ask",)))
    async with world(tmp_path, *plan, tools=tools, profile=profile) as w:
        await start(w, wait=0)
        state = await w.logs.state("s1")
        await until(lambda: bool(state.turns[0].waiting))
        reports = [await w.service.send("s1", None, wait_seconds=0) for _ in range(4)]
    assert [report.status for report in reports] == ["running"] * 4
    assert [[step.number for step in report.steps] for report in reports] == [[0, 1], [1], [1], [1]]


async def test_a_message_joins_the_turn_that_runs(tmp_path: Path) -> None:
    go = anyio.Event()

    async def waits(arguments: dict[str, Any]) -> str:
        await go.wait()
        return "ok"

    async with world(
        tmp_path, calls(("t__wait", {})), says("both"), tools=FunctionTools({"wait": waits})
    ) as w:
        await start(w, "first", wait=0)
        await until(lambda: bool(w.tools.called))
        joined = await w.service.send("s1", "second", wait_seconds=0)
        go.set()
        report = await w.service.send("s1", None, wait_seconds=10)
        history = w.model.requests[-1].history
    assert (joined.turn, joined.queued_messages, joined.resent) == (1, 1, False)
    assert (report.turn, report.text, report.queued_messages) == (1, "both", 0)
    assert isinstance(history[-2], ToolResults)
    assert isinstance(history[-1], UserMessage) and history[-1].text == "second"


async def test_a_message_that_comes_while_the_last_answer_is_written_gets_one_more_step(
    tmp_path: Path,
) -> None:
    go = anyio.Event()

    async def waits(request: ModelRequest) -> Any:
        await go.wait()
        return says("first answer")

    async with world(tmp_path, waits, says("second answer")) as w:
        await start(w, "first", wait=0)
        await until(lambda: bool(w.model.requests))
        await w.service.send("s1", "second", wait_seconds=0)
        go.set()
        report = await w.service.send("s1", None, wait_seconds=10)
    assert (report.turn, len(report.steps), report.text) == (1, 2, "second answer")


async def test_what_a_stopped_turn_left_unread_opens_the_next_turn(tmp_path: Path) -> None:
    go = anyio.Event()

    async def waits(request: ModelRequest) -> Any:
        await go.wait()
        return says("cut", stop="max_tokens")

    async with world(tmp_path, waits, says("read")) as w:
        await start(w, "first", wait=0)
        await until(lambda: bool(w.model.requests))
        await w.service.send("s1", "second", wait_seconds=0)
        go.set()
        await until(lambda: len(w.model.requests) == 2)
        report = await w.service.send("s1", None, wait_seconds=10)
    assert (report.turn, report.text, report.queued_messages) == (2, "read", 0)


async def test_a_message_sent_again_before_its_answer_was_delivered_runs_nothing_twice(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, says("one"), says("two")) as w:
        await start(w, "hello")
        again = await w.service.send("s1", "hello", wait_seconds=10)
        await w.service.delivered(again)
        new = await w.service.send("s1", "hello", wait_seconds=10)
    assert (again.resent, again.turn, again.text) == (True, 1, "one")
    assert (new.resent, new.turn, new.text) == (False, 2, "two")


async def test_a_start_sent_again_finds_its_session(tmp_path: Path) -> None:
    async with world(tmp_path, says("one")) as w:
        await start(w, "hello")
        again = await start(w, "hello")
        with pytest.raises(SessionExistsError):
            await start(w, "something else")
    assert (again.resent, again.text) == (True, "one")


async def test_a_start_sent_several_times_at_once_makes_one_session_and_runs_once(tmp_path: Path) -> None:
    reports: list[TurnReport] = []
    async with world(tmp_path, says("one")) as w:

        async def start_it() -> None:
            reports.append(await start(w))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(start_it)
    assert [(report.turn, report.text) for report in reports] == [(1, "one")] * 5
    assert sorted(report.resent for report in reports) == [False, True, True, True, True]
    assert len(w.model.requests) == 1


async def test_an_id_whose_session_was_deleted_elsewhere_begins_anew(tmp_path: Path) -> None:
    async with world(tmp_path, says("one")) as here, world(tmp_path) as elsewhere:
        await here.service.delivered(await start(here, "old"))
        await elsewhere.store.delete("s1")
        report = await start(here, "new")
        summary = await here.service.summary("s1")
        asked = [m.text for m in here.model.requests[-1].history if isinstance(m, UserMessage)]
    assert (report.turn, report.resent, summary.turns, asked) == (1, False, 1, ["new"])


async def test_more_than_twenty_held_messages_are_refused(tmp_path: Path) -> None:
    go = anyio.Event()

    async def waits(request: ModelRequest) -> Any:
        await go.wait()
        return says("x")

    async with world(tmp_path, waits) as w:
        await start(w, "first", wait=0)
        await until(lambda: bool(w.model.requests))
        with pytest.raises(SessionBusyError):
            for number in range(30):
                await w.service.send("s1", f"message {number}", wait_seconds=0)
        report = await w.service.cancel("s1")
    assert report.queued_messages <= 1


async def test_twenty_messages_are_held_even_before_the_first_reply(tmp_path: Path) -> None:
    go = anyio.Event()

    async def waits(request: ModelRequest) -> Any:
        await go.wait()
        return says("x")

    async with world(tmp_path, waits, says("all read")) as w:
        await start(w, "first", wait=0)
        await until(lambda: bool(w.model.requests))
        for number in range(20):
            await w.service.send("s1", f"message {number}", wait_seconds=0)
        with pytest.raises(SessionBusyError):
            await w.service.send("s1", "one too many", wait_seconds=0)
        go.set()
        report = await w.service.send("s1", None, wait_seconds=10)
        read = [m.text for m in w.model.requests[-1].history if isinstance(m, UserMessage)]
    assert (report.text, report.queued_messages) == ("all read", 0)
    assert len(read) == 21


async def test_too_many_running_turns_are_refused_and_no_session_is_made(tmp_path: Path) -> None:
    async def waits(request: ModelRequest) -> Any:
        await anyio.sleep_forever()

    async with world(tmp_path, waits, limits=ServiceLimits(1)) as w:
        await start(w, "first", wait=0)
        with pytest.raises(SessionBusyError):
            await start(w, "second", session_id="s2")
        with pytest.raises(SessionNotFoundError):
            await w.service.summary("s2")


async def test_cancel_ends_the_turn_answers_open_calls_and_drops_held_messages(tmp_path: Path) -> None:
    async def waits(arguments: dict[str, Any]) -> str:
        await anyio.sleep_forever()
        return ""

    async with world(
        tmp_path, calls(("t__wait", {})), says("new"), tools=FunctionTools({"wait": waits})
    ) as w:
        await start(w, "first", wait=0)
        await until(lambda: bool(w.tools.called))
        await w.service.send("s1", "held", wait_seconds=0)
        report = await w.service.cancel("s1")
        again = await w.service.cancel("s1")
        await w.service.delivered(report)
        after = await w.service.send("s1", "next", wait_seconds=10)
        texts = [m.text for m in w.model.requests[-1].history if isinstance(m, UserMessage)]
    assert (report.stop_reason, report.status, report.queued_messages) == ("cancelled", "idle", 0)
    assert report.steps[0].calls[0].status == "interrupted"
    assert again.stop_reason == "cancelled"
    assert (after.turn, after.text) == (2, "new")
    assert texts == ["first", "next"]


async def test_cancel_after_the_end_returns_that_end(tmp_path: Path) -> None:
    async with world(tmp_path, says("done")) as w:
        await start(w)
        report = await w.service.cancel("s1")
        empty = await start(w, None, session_id="s2")
        nothing = await w.service.cancel("s2")
    assert (report.stop_reason, report.text) == ("end_turn", "done")
    assert (empty.status, nothing.turn) == ("idle", 0)


ASK = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(ask=("t__echo",)))


@pytest.mark.parametrize(("decision", "status"), [("allow", "ok"), ("deny", "denied")])
async def test_a_call_that_must_be_asked_for_waits_for_the_answer(
    tmp_path: Path, decision: Any, status: str
) -> None:
    plan = calls(("t__echo", {"text": "x" * 500}))
    async with world(tmp_path, plan, says("done"), profile=ASK, tools=echo_tools()) as w:
        resting = await start(w)
        assert not w.tools.called
        call = resting.approvals[0]
        report = await w.service.approve("s1", call.call.id, decision, reason="because", wait_seconds=10)
        second = await w.service.approve("s1", call.call.id, "allow", wait_seconds=10)
        results = w.model.requests[-1].history[-1]
    assert (resting.status, resting.stop_reason) == ("needs_approval", None)
    assert call.call.arguments == {"text": "x" * 500}
    assert (report.text, report.steps[0].calls[0].status) == ("done", status)
    assert second.decision == decision
    assert isinstance(results, ToolResults)
    assert ("because" in results.results[0].text) == (decision == "deny")


async def test_calls_that_need_no_approval_do_not_wait_for_those_that_do(tmp_path: Path) -> None:
    tools = FunctionTools({"echo": echo, "free": echo})
    plan = calls(("t__echo", {}), ("t__free", {}))
    async with world(tmp_path, plan, says("done"), profile=ASK, tools=tools) as w:
        resting = await start(w)
        statuses = [call.status for call in resting.steps[0].calls]
    assert statuses == ["waiting", "ok"]


async def test_a_message_sent_while_an_approval_waits_is_held(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {})), says("done"), profile=ASK, tools=echo_tools()) as w:
        resting = await start(w)
        held = await w.service.send("s1", "by the way", wait_seconds=5)
        await w.service.approve("s1", resting.approvals[0].call.id, "allow", wait_seconds=10)
        last = w.model.requests[-1].history[-1]
    assert (held.status, held.queued_messages) == ("needs_approval", 1)
    assert isinstance(last, UserMessage) and last.text == "by the way"


async def test_an_approval_that_nobody_answers_counts_as_denied_when_it_expires(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {})), says("done"), profile=ASK, tools=echo_tools()) as w:
        w.clock.ahead_seconds = -24 * 3600 + 0.3
        resting = await start(w, wait=0.1)
        w.clock.ahead_seconds = 0.0
    async with world(tmp_path, calls(("t__echo", {})), says("done"), profile=ASK, tools=echo_tools()) as w:
        report = await w.service.send("s1", None, wait_seconds=0)
        while report.stop_reason is None:
            await anyio.sleep(0.02)
            report = await w.service.send("s1", None, wait_seconds=0.05)
    assert resting.approvals
    assert (report.text, report.steps[0].calls[0].status) == ("done", "denied")


async def test_an_answer_that_comes_after_the_approval_expired_denies(tmp_path: Path) -> None:
    profile = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(ask=("*",)))
    async with world(tmp_path, calls(("t__echo", {})), says("end"), tools=echo_tools(), profile=profile) as w:
        call_id = (await start(w)).approvals[0].call.id
        w.clock.ahead_seconds = 24 * 3600 + 1
        report = await w.service.approve("s1", call_id, "allow", wait_seconds=10)
    assert (report.decision, report.steps[0].calls[0].status, w.tools.called) == ("deny", "denied", [])


async def test_an_approval_waits_over_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {"text": "x"})), profile=ASK, tools=echo_tools()) as w:
        resting = await start(w)
    async with world(tmp_path, says("unused"), says("done"), profile=ASK, tools=echo_tools()) as w:
        still = await w.service.send("s1", None, wait_seconds=10)
        report = await w.service.approve("s1", still.approvals[0].call.id, "allow", wait_seconds=10)
    assert still.approvals[0].call.id == resting.approvals[0].call.id
    assert (report.text, len(w.tools.called)) == ("done", 1)


async def test_an_unknown_call_cannot_be_approved(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {})), profile=ASK, tools=echo_tools()) as w:
        resting = await start(w)
        with pytest.raises(ApprovalNotFoundError, match=resting.approvals[0].call.id):
            await w.service.approve("s1", "call_nope", "allow", wait_seconds=0)


async def test_cancel_ends_a_waiting_approval(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {})), profile=ASK, tools=echo_tools()) as w:
        resting = await start(w)
        report = await w.service.cancel("s1")
        late = await w.service.approve("s1", resting.approvals[0].call.id, "allow", wait_seconds=0)
    assert (report.stop_reason, list(report.approvals)) == ("cancelled", [])
    assert (late.decision, w.tools.called) == (None, [])


async def test_a_denied_tool_is_never_run(tmp_path: Path) -> None:
    rules = ApprovalRules(allow=("*",), deny=("t__e*",))
    profile = Profile(agent="a", model="plan", servers=("t",), approvals=rules)
    async with world(
        tmp_path, calls(("t__echo", {})), says("done"), profile=profile, tools=echo_tools()
    ) as w:
        report = await start(w)
    assert (report.steps[0].calls[0].status, w.tools.called) == ("denied", [])


async def test_a_tool_that_declares_itself_destructive_asks_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {})), tools=echo_tools(destructive=True)) as w:
        report = await start(w)
    assert report.status == "needs_approval"


async def test_a_closed_session_takes_no_more_messages_but_can_be_read_and_forked(tmp_path: Path) -> None:
    async with world(tmp_path, says("done"), says("forked")) as w:
        await start(w)
        closed = await w.service.close("s1")
        again = await w.service.close("s1")
        with pytest.raises(SessionClosedError):
            await w.service.send("s1", "more", wait_seconds=0)
        summary = await w.service.summary("s1")
        fork = await w.service.fork("s1", at_step=None)
        await w.service.send(fork.session_id, "on", wait_seconds=10)
    assert (closed.status, again.status, summary.status, summary.is_complete) == (
        "closed",
        "closed",
        "closed",
        True,
    )
    assert (fork.status, fork.forked_from, fork.text) == ("idle", "s1", "done")
    assert w.tools.released == ["s1"]


async def test_a_fork_or_the_closing_of_a_session_whose_turn_failed_is_no_failure(tmp_path: Path) -> None:
    plan = [calls(("t__echo", {"text": "a"})), ContextOverflowError("too long")]
    async with world(tmp_path, *plan, tools=echo_tools()) as w:
        failed = await start(w)
        w.model.plan[1] = says("went on")
        fork = await w.service.fork("s1", at_step=None)
        copy = await w.service.summary(fork.session_id)
        on = await w.service.send(fork.session_id, "on", wait_seconds=10)
        closed = await w.service.close("s1")
        again = await w.service.close("s1")
        cancelled = await w.service.cancel("s1")
    assert failed.problem is not None and cancelled.problem == failed.problem
    assert (fork.problem, fork.stop_reason, copy.problem) == (None, "end_turn", None)
    assert (len(fork.steps), on.text) == (1, "went on")
    for report in (closed, again):
        assert (report.problem, report.status, report.stop_reason) == (None, "closed", "error")


async def test_nothing_runs_in_a_closed_session_however_late_a_message_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def waits(request: ModelRequest) -> Any:
        await anyio.sleep_forever()

    async with world(tmp_path, waits) as w:
        await start(w, None)
        cancel = w.service.cancel

        async def cancel_and_send(session_id: str) -> TurnReport:
            monkeypatch.setattr(w.service, "cancel", cancel)
            report = await cancel(session_id)
            await w.service.send(session_id, "just in time", wait_seconds=0)
            return report

        monkeypatch.setattr(w.service, "cancel", cancel_and_send)
        report = await w.service.close("s1")
        state = await w.logs.state("s1")
    assert (report.status, report.turn, report.stop_reason) == ("closed", 1, "cancelled")
    assert state.active is None


async def test_a_fork_has_the_steps_up_to_the_one_named_with_call_ids_of_its_own(tmp_path: Path) -> None:
    plan = [calls(("t__echo", {"text": "a"})), says("one"), says("two"), says("three")]
    async with world(tmp_path, *plan, tools=echo_tools()) as w:
        await w.service.delivered(await start(w, "first"))
        await w.service.delivered(await w.service.send("s1", "second", wait_seconds=10))
        fork = await w.service.fork("s1", at_step=0)
        whole = await w.service.fork("s1", at_step=None)
        before, after = await w.logs.state("s1"), await w.logs.state(fork.session_id)
        with pytest.raises(InvalidArgumentError):
            await w.service.fork("s1", at_step=9)
        await w.service.send(fork.session_id, "other", wait_seconds=10)
        texts = [m.text for m in w.model.requests[-1].history if isinstance(m, UserMessage)]
        copy = await w.service.summary(whole.session_id)
    assert (len(after.steps), list(after.calls)) != (0, list(before.calls))
    assert not set(after.calls) & set(before.calls)
    assert texts == ["first", "other"]
    assert (copy.turns, copy.steps, copy.last_text) == (2, 3, "two")


async def test_a_session_can_be_forked_while_its_turn_runs(tmp_path: Path) -> None:
    async def waits(arguments: dict[str, Any]) -> str:
        await anyio.sleep_forever()
        return ""

    tools = FunctionTools({"echo": echo, "wait": waits})
    async with world(tmp_path, calls(("t__echo", {})), calls(("t__wait", {})), tools=tools) as w:
        await start(w, wait=0)
        await until(lambda: len(w.tools.called) == 2)
        fork = await w.service.fork("s1", at_step=None)
        empty = await start(w, None, session_id="s2")
        nothing = await w.service.fork(empty.session_id, at_step=None)
    assert (fork.status, [step.number for step in fork.steps]) == ("idle", [0])
    assert nothing.turn == 0


async def test_a_budget_of_tokens_ends_the_turn_before_it_is_exceeded(tmp_path: Path) -> None:
    again = calls(("t__echo", {}))
    async with world(tmp_path, *[again] * 30, tools=echo_tools()) as w:
        report = await start(w, budget=Budget(tokens=100))
        await w.service.delivered(report)
        with pytest.raises(BudgetExceededError):
            await w.service.send("s1", "more", wait_seconds=0)
    assert report.stop_reason == "budget"
    assert 70 <= report.usage.input_tokens + report.usage.output_tokens <= 100


async def test_a_budget_of_calls_refuses_those_beyond_it(tmp_path: Path) -> None:
    plan = [calls(*[("t__echo", {"text": str(i)}) for i in range(3)]), says("done")]
    async with world(tmp_path, *plan, tools=echo_tools()) as w:
        report = await start(w, budget=Budget(tool_calls=2))
    assert (report.stop_reason, len(w.tools.called)) == ("budget", 2)
    assert [call.status for call in report.steps[0].calls] == ["ok", "ok", "denied"]


async def test_a_budget_of_time_stops_a_call_that_outlasts_it(tmp_path: Path) -> None:
    async def waits(arguments: dict[str, Any]) -> str:
        await anyio.sleep_forever()
        return ""

    async with world(tmp_path, calls(("t__w", {})), says("late"), tools=FunctionTools({"w": waits})) as w:
        report = await start(w, budget=Budget(seconds=0.2))
    assert report.steps[0].calls[0].status == "interrupted"


async def test_a_budget_of_time_that_a_call_used_up_is_spent(tmp_path: Path) -> None:
    async def waits(arguments: dict[str, Any]) -> str:
        await anyio.sleep_forever()
        return ""

    async with world(tmp_path, calls(("t__w", {})), tools=FunctionTools({"w": waits})) as w:
        report = await start(w, budget=Budget(seconds=0.2))
        await w.service.delivered(report)
        with pytest.raises(BudgetExceededError):
            await w.service.send("s1", "more", wait_seconds=0)
    assert (report.stop_reason, len(report.steps), len(w.tools.called)) == ("budget", 2, 1)


async def test_a_cost_budget_without_a_known_price_stops_after_one_reply(tmp_path: Path) -> None:
    async with world(tmp_path, calls(("t__echo", {})), says("end"), tools=echo_tools()) as w:
        report = await start(w, budget=Budget(cost_usd=1.0))
    assert (report.stop_reason, len(report.steps)) == ("budget", 2)


async def test_servers_that_are_down_are_in_the_warnings_and_the_model_is_told(tmp_path: Path) -> None:
    tools = echo_tools()
    tools.down = ["server x is down: exit code 1"]
    async with world(tmp_path, says("one"), says("two"), says("three"), tools=tools) as w:
        report = await start(w)
        await w.service.delivered(report)
        tools.down = []
        back = await w.service.send("s1", "again", wait_seconds=10)
        said = [m for m in w.model.requests[-1].history if isinstance(m, UserMessage)]
        notes = [message.text for message in said if message.note]
        shown = entries(await w.logs.state("s1"), "full")
    assert list(report.warnings) == ["server x is down: exit code 1"]
    assert list(back.warnings) == []
    assert "exit code 1" in notes[0] and "available again" in notes[1]
    # What the user said comes last: it is what is to be answered.
    assert [message.note for message in said] == [True, False, True, False]
    assert [entry["type"] for entry in shown[:2]] == ["note", "message"]


async def test_the_model_is_told_that_a_server_was_restarted(tmp_path: Path) -> None:
    tools = echo_tools()
    tools.restarts = ["t"]
    async with world(tmp_path, calls(("t__echo", {})), says("done"), tools=tools) as w:
        await start(w)
        last = w.model.requests[-1].history[-1]
    assert isinstance(last, UserMessage) and last.note and "Restarted" in last.text


async def test_changed_tools_take_effect_with_the_next_turn_and_drop_signed_blocks(tmp_path: Path) -> None:
    tools = echo_tools()
    async with world(tmp_path, says("one"), says("two"), tools=tools) as w:
        await w.service.delivered(await start(w))
        tools.functions["more"] = echo
        await w.service.send("s1", "again", wait_seconds=10)
        shown = [[tool.name for tool in request.tools] for request in w.model.requests]
    assert shown == [["t__echo"], ["t__echo", "t__more"]]


@pytest.mark.parametrize("message", ["", "  \n", "x" * 1_000_001])
async def test_an_empty_or_oversized_message_is_refused(tmp_path: Path, message: str) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(InvalidArgumentError, match="message"):
            await start(w, message)
        await start(w, "ok")
        with pytest.raises(InvalidArgumentError, match="message"):
            await w.service.send("s1", message, wait_seconds=0)


@pytest.mark.parametrize("message", ["x" * 1_000_000, "héllo 世界 🎉", "\\ \" ' \t \x01 ${HOME} </s>"])
async def test_long_and_odd_messages_are_stored_as_they_are(tmp_path: Path, message: str) -> None:
    async with world(tmp_path) as w:
        report = await start(w, message)
        seen = w.model.requests[0].history[0]
    assert report.stop_reason == "end_turn"
    assert isinstance(seen, UserMessage)
    assert seen.text == message


@pytest.mark.parametrize("session_id", ["", "a b", "ü", "x" * 65, "../x"])
async def test_an_id_of_other_characters_is_refused(tmp_path: Path, session_id: str) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(InvalidArgumentError, match="session_id"):
            await start(w, session_id=session_id)
        with pytest.raises(InvalidArgumentError, match="session_id"):
            await w.service.summary(session_id)


async def test_an_unknown_session_is_not_found(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for use in (w.service.summary, w.service.cancel, w.service.close):
            with pytest.raises(SessionNotFoundError):
                await use("nope")


async def test_a_model_without_a_key_is_refused_before_a_session_is_made(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(MissingApiKeyError):
            await start(w, model="other")
        with pytest.raises(InvalidArgumentError, match="model"):
            await start(w, model="anthropic:claude-anything")
        with pytest.raises(SessionNotFoundError):
            await w.service.summary("s1")


async def test_the_model_that_runs_by_default_may_also_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OneAgent, "models", ())
    async with world(tmp_path, profile=Profile(agent="a", servers=("t",))) as w:
        report = await start(w, model="plan")
        with pytest.raises(InvalidArgumentError, match="plan"):
            await start(w, session_id="s2", model="other")
        summary = await w.service.summary("s1")
    assert (report.text, summary.record.profile.model) == ("hello", "plan")


async def test_a_session_without_turns_has_a_summary_of_zeros(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await start(w, None)
        summary = await w.service.summary("s1")
        waited = await w.service.send("s1", None, wait_seconds=5)
    figures = summary.turns, summary.steps, summary.messages, summary.total_tool_calls, summary.is_complete
    assert figures == (0, 0, 0, 0, False)
    assert (waited.turn, waited.status) == (0, "idle")


async def test_the_summary_counts_good_and_bad_calls(tmp_path: Path) -> None:
    plan = [
        calls(("t__echo", {}), ("t__no", {})),
        calls(("t__echo", {}), ("t__no", {})),
        says("a"),
        says("b"),
    ]
    async with world(tmp_path, *plan, tools=echo_tools()) as w:
        await w.service.delivered(await start(w))
        await w.service.send("s1", "and", wait_seconds=10)
        summary = await w.service.summary("s1")
    assert (summary.steps, summary.total_tool_calls, summary.successful_tool_calls) == (4, 4, 2)
    assert summary.messages == 8


async def test_sessions_are_listed_newest_first_by_pages_and_by_status(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(5):
            await start(w, f"task {number}", session_id=f"s{number}")
        await w.service.close("s1")
        seen: list[str] = []
        cursor = None
        while True:
            page = await w.service.list(status=None, query="", limit=2, cursor=cursor)
            seen += [line.id for line, _ in page.sessions]
            cursor = page.next_cursor
            if cursor is None:
                break
        closed = await w.service.list(status="closed", query="", limit=10, cursor=None)
        found = await w.service.list(status=None, query="TASK 3", limit=10, cursor=None)
        for odd in ("what", "", "nan.x", "inf.x", "1.0", "1_0.", "1_0.a b"):
            with pytest.raises(InvalidArgumentError, match="cursor"):
                await w.service.list(status=None, query="", limit=2, cursor=odd)
    assert seen == ["s1", "s4", "s3", "s2", "s0"]
    assert [line.id for line, _ in closed.sessions] == ["s1"]
    assert [line.title for line, _ in found.sessions] == ["task 3"]


async def test_a_waiting_call_is_told_of_each_step(tmp_path: Path) -> None:
    seen: list[int] = []

    def watcher(state: SessionState) -> None:
        seen.append(len(state.steps))

    async with world(tmp_path, calls(("t__echo", {})), says("done"), tools=echo_tools()) as w:
        await w.service.start(StartRequest(message="hi"), session_id="s1", wait_seconds=10, watcher=watcher)
    assert {0, 1, 2} >= set(seen) >= {1, 2}


async def test_messages_sent_at_the_same_moment_are_all_read(tmp_path: Path) -> None:
    async with world(tmp_path, *[says(str(i)) for i in range(40)]) as w:
        await w.service.delivered(await start(w, "first"))
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(lambda n=number: w.service.send("s1", f"m{n}", wait_seconds=10))
        state = await w.logs.state("s1")
        texts = [m.text for m in state.history if isinstance(m, UserMessage)]
    assert sorted(texts) == sorted(["first", *[f"m{n}" for n in range(10)]])
    assert state.queued_messages == 0


async def test_a_turn_does_not_begin_without_a_server_that_is_required(tmp_path: Path) -> None:
    tools = echo_tools()
    tools.missing = ["server db is down: exit code 3"]
    async with world(tmp_path, says("hello"), tools=tools) as w:
        report = await start(w)
        await w.service.delivered(report)
        tools.missing = []
        again = await w.service.send("s1", "hi", wait_seconds=10)
    assert report.problem is not None and report.problem.code == "SERVER_UNAVAILABLE"
    assert "exit code 3" in report.problem.message
    assert (again.text, again.turn) == ("hello", 2)


async def test_nobody_can_see_or_touch_anothers_session(tmp_path: Path) -> None:
    async with world(tmp_path, says("secret")) as w:
        ada, bob = w.service.for_principal("ada"), w.service.for_principal("bob")
        await ada.start(StartRequest(message="hi"), session_id="s1", wait_seconds=10)
        with pytest.raises(SessionNotFoundError) as unknown:
            await bob.summary("nope")
        for other in (bob, w.service):
            for touch in (other.summary, other.cancel, other.close):
                with pytest.raises(SessionNotFoundError) as foreign:
                    await touch("s1")
                assert foreign.value.message == unknown.value.message.replace("nope", "s1")
            with pytest.raises(SessionNotFoundError):
                await other.send("s1", "tell me", wait_seconds=0)
            with pytest.raises(SessionNotFoundError):
                await other.approve("s1", "call_x", "allow", wait_seconds=0)
            with pytest.raises(SessionNotFoundError):
                await other.fork("s1", at_step=None)
            listed = await other.list(status=None, query="", limit=10, cursor=None)
            assert list(listed.sessions) == []
        mine = await ada.list(status=None, query="", limit=10, cursor=None)
        fork = await ada.fork("s1", at_step=None)
        assert (await ada.summary(fork.session_id)).record.principal == "ada"
    assert [line.id for line, _ in mine.sessions] == ["s1"]


async def test_a_reply_beyond_the_budget_is_the_last_one_and_its_calls_are_not_run(tmp_path: Path) -> None:
    greedy = calls(("t__echo", {}), text="let me see", usage=Usage(900, 200, cost_usd=2.0))
    async with world(tmp_path, greedy, says("never"), tools=echo_tools()) as w:
        tokens = await start(w, budget=Budget(tokens=1000))
        cost = await start(w, budget=Budget(cost_usd=1.0), session_id="s2")
    for report in (tokens, cost):
        assert (report.stop_reason, report.text, len(report.steps)) == ("budget", "let me see", 1)
        assert report.steps[0].calls[0].status == "denied"
    assert w.tools.called == []


async def test_a_cost_budget_for_a_model_without_a_price_is_refused_at_the_start(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.models.priced = False
        with pytest.raises(BudgetExceededError, match="no known price"):
            await start(w, budget=Budget(cost_usd=1.0))
        with pytest.raises(SessionNotFoundError):
            await w.service.summary("s1")


async def test_a_session_that_was_deleted_and_made_anew_elsewhere_is_not_taken_for_the_old_one(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, says("old")) as first, open_world(tmp_path, says("new")) as second:
            await start(first, "one")
            await first.service.delivered(await first.service.send("s1", "two", wait_seconds=10))
            await second.store.delete("s1")
            await start(second, "three")
            await first.service.send("s1", "four", wait_seconds=10)
            history = first.model.requests[-1].history
            summary = await first.service.summary("s1")
    read = [message.text for message in history if isinstance(message, UserMessage)]
    assert (read, summary.turns) == (["three", "four"], 2)


async def test_who_runs_the_turn_of_a_session_made_anew_reads_nothing_of_the_old_one(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, says("old"), says("new")) as worker:
            await start(worker, "one")
            record = await worker.store.get("s1")
            await worker.store.delete("s1")
            anew = NewSession(id="s1", profile=record.profile, origin="", principal="")
            # As another process does: nothing here hears of it but the turn.
            await worker.store.create(anew, message="two")
            worker.dispatcher.enqueue("s1", 1)
            await until(lambda: len(worker.model.requests) == 2)
    read = [said.text for said in worker.model.requests[-1].history if isinstance(said, UserMessage)]
    assert read == ["two"]


async def test_a_list_tells_no_status_of_a_deleted_session_that_had_the_id(tmp_path: Path) -> None:
    async def thinking(_: ModelRequest) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    plan = calls(("t__echo", {})), thinking
    with anyio.fail_after(10):
        async with (
            open_world(tmp_path) as looking,
            open_world(tmp_path, *plan, profile=ASK, tools=echo_tools()) as working,
        ):
            for wait, status in ((10, "needs_approval"), (0, "running")):
                await start(working, wait=wait)
                page = await looking.service.list(status=None, query="", limit=10, cursor=None)
                assert [told for _, told in page.sessions] == [status]
                await working.service.cancel("s1")
                await working.store.delete("s1")


async def test_the_same_message_right_after_its_answer_is_a_new_one_though_it_comes_first(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(10):
        async with (
            open_world(tmp_path, says("hello")) as first,
            open_world(tmp_path, says("hello")) as second,
        ):
            answered = await start(first, "again")
            turns: list[int] = []

            async def send() -> None:
                turns.append((await second.service.send("s1", "again", wait_seconds=10)).turn)

            async with anyio.create_task_group() as group:
                group.start_soon(send)
                for _ in range(20):
                    await anyio.lowlevel.checkpoint()
                await first.service.delivered(answered)
    assert turns == [2]
