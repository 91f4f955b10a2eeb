"""Budgets over turns, sessions and days: what they stop, when, and what is said of it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_mcp.agent.limits import StepLimit
from agent_mcp.agent.messages import Reply, Text, ToolCall, ToolResult, Usage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.agent.spending import Bill, Spent
from agent_mcp.errors import BudgetExceededError, SessionNotFoundError
from agent_mcp.sessions.budgets import Limit, Stretch
from agent_mcp.sessions.chain import ALLOWANCE_KEY, BILL_KEY, allowance_of, bill_of, to_bill
from agent_mcp.sessions.events import NoteAdded
from agent_mcp.sessions.meter import Budgets, Payer, TurnMeter
from agent_mcp.sessions.ports import Charge, NewSession
from agent_mcp.sessions.profile import Budget, Caps, Profile
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.start import StartRequest
from tests.support.world import FunctionTools, Plan, World, calls, open_world, says

pytestmark = pytest.mark.anyio

ECHO = ("t__echo", dict[str, Any]())
STEP = Usage(10, 5, cost_usd=0.01)


async def echo(arguments: dict[str, Any]) -> str:
    return "heard"


@asynccontextmanager
async def world(
    folder: Path,
    *plan: Plan,
    budget: Budget | None = None,
    each: Budget | None = None,
    tools: FunctionTools | None = None,
) -> AsyncGenerator[World]:
    profile = Profile(agent="a", model="plan", servers=("t",), budget=budget or Budget())
    with anyio.fail_after(15):
        async with open_world(
            folder,
            *(plan or [calls(ECHO, usage=STEP)] * 30),
            profile=profile,
            tools=tools or FunctionTools({"echo": echo}),
            each=each,
        ) as opened:
            yield opened


async def start(w: World, session_id: str = "s1", message: str = "hi", **options: Any) -> TurnReport:
    request = StartRequest(message=message, **options)
    return await w.service.start(request, session_id=session_id, wait_seconds=10)


async def go_on(w: World, session_id: str = "s1") -> TurnReport:
    await w.service.delivered(await w.service.send(session_id, None, wait_seconds=0))
    return await w.service.send(session_id, "more", wait_seconds=10)


@pytest.mark.parametrize(
    ("caps", "steps", "words"),
    [
        (Caps(steps=4), 4, "4 of 4 steps of this turn are used"),
        (Caps(input_tokens=50), 5, "50 of 50 input tokens of this turn are used"),
        (Caps(output_tokens=20), 4, "20 of 20 output tokens of this turn are used"),
        (Caps(tokens=47), 3, "45 of 47 tokens of this turn are used"),
        (Caps(cost_usd=0.035), 3, "0.0300 of 0.035 USD of this turn are used"),
        (Caps(tool_calls=3), 4, "3 of 3 tool calls of this turn are used"),
        (Caps(tool_calls=3, steps=3, tokens=1000), 3, "3 of 3 steps of this turn are used"),
    ],
)
async def test_a_turns_budget_ends_it_with_a_closing_reply_and_the_next_has_its_own(
    tmp_path: Path, caps: Caps, steps: int, words: str
) -> None:
    async with world(tmp_path, budget=Budget(turn=caps)) as w:
        first = await start(w)
        second = await go_on(w)
        choices = [request.tool_choice for request in w.model.requests]
    for report in (first, second):
        assert (report.stop_reason, len(report.steps)) == ("budget", steps)
        assert report.warnings[0] == f"a budget ended the turn: {words}."
        assert "each turn has a budget of its own" in report.after_limit
    assert [choices.index("none"), choices.count("none")] == [steps - 1, 2]


async def test_a_sessions_budget_counts_all_its_turns(tmp_path: Path) -> None:
    async with world(tmp_path, budget=Budget(steps=5, turn=Caps(steps=3))) as w:
        first, second = await start(w), await go_on(w)
        with pytest.raises(BudgetExceededError, match="5 of 5 steps of this session are used"):
            await go_on(w)
        other = await start(w, "s2")
    assert [len(report.steps) for report in (first, second, other)] == [3, 2, 3]


async def test_a_day_counts_all_sessions_of_the_agent_and_the_principal_and_begins_anew(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, budget=Budget(day=Caps(tokens=100))) as w:
        first, second = await start(w), await start(w, "s2")
        with pytest.raises(BudgetExceededError, match=r"105 of 100 tokens of the agent's day are used"):
            await start(w, "refused")
        with pytest.raises(SessionNotFoundError):
            await w.service.summary("refused")
        bob = await w.service.for_principal("bob").start(
            StartRequest(message="hi"), session_id="s3", wait_seconds=10
        )
        w.clock.ahead_seconds = 24 * 3600
        tomorrow = await go_on(w)
    assert [report.stop_reason for report in (first, bob, tomorrow)] == ["budget"] * 3
    assert (first.spent.tokens, second.spent.tokens) == (90, 15)
    assert "tomorrow" in first.after_limit


async def test_a_principals_day_counts_all_its_agents(tmp_path: Path) -> None:
    async with world(tmp_path, each=Budget(day=Caps(tool_calls=3))) as w:
        report = await start(w)
        with pytest.raises(BudgetExceededError):
            # One more reply would have room, but none that may call a tool: that is not refused.
            await Budgets(w.store, w.clock, Budget(day=Caps(steps=4))).check_begin(
                await w.logs.state("none"), Payer(Profile(agent="other"), "")
            )
        again = await start(w, "s2")
    assert (report.stop_reason, len(w.tools.called), len(again.steps)) == ("budget", 3, 1)


async def test_sessions_that_spend_a_day_at_once_pass_it_by_one_reply_each(tmp_path: Path) -> None:
    met, together = 0, anyio.Event()

    async def with_the_others(request: ModelRequest) -> Reply:
        nonlocal met
        met += 1
        if met == 4:
            together.set()
        await together.wait()
        return calls(ECHO, usage=STEP)

    async with (
        world(tmp_path, with_the_others, calls(ECHO, usage=STEP), budget=Budget(day=Caps(tokens=20))) as w,
        anyio.create_task_group() as group,
    ):
        for index in range(4):
            group.start_soon(start, w, f"s{index}")
    assert len(w.model.requests) == 4, "no reply was asked for once the day's limit was passed"


async def test_a_call_beyond_the_number_left_is_denied_and_approval_denials_cost_none(
    tmp_path: Path,
) -> None:
    plan = [calls(ECHO, ECHO, ("t__gone", {})), calls(ECHO, ECHO, ECHO), says("done")]
    async with world(tmp_path, *plan, budget=Budget(tool_calls=4)) as w:
        report = await start(w)
    statuses = [[call.status for call in step.calls] for step in report.steps]
    assert statuses == [["ok", "ok", "error"], ["ok", "ok", "denied"], []]
    assert report.stop_reason == "budget"


async def test_text_that_would_not_fit_is_seen_before_it_is_sent(tmp_path: Path) -> None:
    async def give(arguments: dict[str, Any]) -> str:
        return "word " * 4_000

    tools = FunctionTools({"echo": give})
    async with world(tmp_path, budget=Budget(turn=Caps(tokens=4_000)), tools=tools) as w:
        report = await start(w)
        with pytest.raises(BudgetExceededError):
            await start(w, "s2", "x" * 100_000)
    assert (report.stop_reason, len(report.steps)) == ("budget", 2), (
        "five thousand tokens: the next is the last"
    )


async def test_a_message_that_comes_when_the_budget_is_passed_waits_for_the_next_turn(tmp_path: Path) -> None:
    async def costly(request: ModelRequest) -> Reply:
        await w.service.send("s1", "one more thing", wait_seconds=0)
        return says("dear", usage=Usage(900, 200))

    async with world(tmp_path, costly, budget=Budget(turn=Caps(tokens=1000))) as w:
        report = await start(w)
    assert (report.stop_reason, report.text, report.queued_messages) == ("budget", "dear", 1)
    assert len(w.model.requests) == 1


async def test_the_limit_that_ended_a_turn_is_found_again_after_a_crash(tmp_path: Path) -> None:
    async with world(tmp_path, budget=Budget(steps=2)) as w:
        await start(w)
        record, state = await w.store.get("s1"), await w.logs.state("s1")
        payer = Payer(record.profile, record.principal)
        anew = TurnMeter(StepLimit(25), budgets=Budgets(w.store, w.clock), state=state, turn=1, payer=payer)
        words, _ = anew.explain_end("budget")
        ended = state.turns[0].ended
    assert (
        ended is not None
        and ended.limit == words == "a budget ended the turn: 2 of 2 steps of this session are used."
    )
    assert anew.explain_end("max_steps") == ("", "")


async def test_a_turn_whose_day_others_have_spent_before_it_began_ends_with_the_error(tmp_path: Path) -> None:
    async with world(tmp_path, budget=Budget(day=Caps(steps=1))) as w:
        profile = Profile(agent="a", model="plan", servers=("t",), budget=Budget(day=Caps(steps=1)))
        await w.store.create(NewSession("other", Profile()))
        await w.store.append("other", 0, [NoteAdded("x")], charge=Charge("", "a", Spent(steps=1)))
        await w.store.create(NewSession("s1", profile), message="hi")
        report = await w.service.send("s1", None, wait_seconds=10)
    assert (report.stop_reason, len(w.model.requests)) == ("error", 0)
    assert report.problem is not None and report.problem.code == "BUDGET_EXCEEDED"
    assert "tomorrow" in report.problem.hint


@pytest.mark.parametrize("where", ["turn", "day", "each", "allowance"])
async def test_no_limit_of_money_holds_for_a_model_without_a_price(tmp_path: Path, where: str) -> None:
    caps = Caps(cost_usd=1.0)
    own: dict[str, Caps] = {where: caps} if where in ("turn", "day") else {}
    budget = Budget(turn=own.get("turn", Caps()), day=own.get("day", Caps()))
    async with world(tmp_path, budget=budget, each=Budget(day=caps) if where == "each" else None) as w:
        w.models.priced = False
        service = w.service.under(("top@1",), caps) if where == "allowance" else w.service
        with pytest.raises(BudgetExceededError, match="no known price"):
            await service.start(StartRequest(message="hi"), session_id="s1", wait_seconds=0)


async def test_a_start_can_only_narrow_what_the_agent_has(tmp_path: Path) -> None:
    own = Budget(tokens=100, turn=Caps(steps=3), day=Caps(cost_usd=1.0))
    asked = Budget(tokens=500, seconds=9.0, turn=Caps(steps=9, tool_calls=1), day=Caps(cost_usd=0.5))
    async with world(tmp_path, budget=own) as w:
        await w.service.start(StartRequest(budget=asked), session_id="s1", wait_seconds=0)
        held = (await w.store.get("s1")).profile.budget
    assert held == Budget(tokens=100, seconds=9.0, turn=Caps(steps=3, tool_calls=1), day=Caps(cost_usd=0.5))


# --- under and over other agents ----------------------------------------------------------------------------------


async def test_a_turn_spends_no_more_than_the_agent_above_it_left(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        under = w.service.under(("top@1",), Caps(tokens=60, tool_calls=9))
        report = await under.start(StartRequest(message="hi"), session_id="s1", wait_seconds=10)
        with pytest.raises(BudgetExceededError, match="what the calling agent left"):
            await w.service.under(("top@1",), Caps(steps=0)).start(
                StartRequest(message="hi"), session_id="s2", wait_seconds=0
            )
        free = await go_on(w)
    assert (report.stop_reason, len(report.steps)) == ("budget", 4)
    assert "what the calling agent left" in report.warnings[0]
    assert free.stop_reason != "budget", "a turn that its own host opens has no caller's limit"


async def test_whoever_waits_on_can_narrow_what_the_turn_may_spend(tmp_path: Path) -> None:
    held = anyio.Event()

    async def hold(arguments: dict[str, Any]) -> str:
        await held.wait()
        return "held"

    async with world(tmp_path, tools=FunctionTools({"echo": hold})) as w:
        under = w.service.under(("top@1",), Caps(tokens=600))
        await under.start(StartRequest(message="hi"), session_id="s1", wait_seconds=0.05)
        for tokens in (500, 20, 400):
            await w.service.under(("top@1",), Caps(tokens=tokens)).send("s1", None, wait_seconds=0)
        allowed = (await w.logs.state("s1")).tally.allowances[1]
        held.set()
        report = await w.service.send("s1", None, wait_seconds=10)
        kinds = [event.data.kind for event in await w.store.read("s1")]
    assert allowed == Caps(tokens=15 + 20), "of what is spent already and what is allowed beyond it"
    assert (report.stop_reason, kinds.count("allowance")) == ("budget", 3)


def agent_tools(bills: Sequence[Bill]) -> FunctionTools:
    """A tool whose results say what another agent has spent."""
    left = list(bills)

    async def run(arguments: dict[str, Any]) -> ToolResult:
        return ToolResult("", (Text("done"),), bill=left.pop(0))

    return FunctionTools({"start_session": run})


async def test_what_a_called_agent_spends_counts_once_however_often_it_is_told(tmp_path: Path) -> None:
    def told(tokens: int, turn: str = "x/s9/1") -> Bill:
        return Bill(turn, Spent(steps=1, tool_calls=2, input_tokens=tokens, cost_usd=0.5, seconds=99.0))

    ask = calls(("t__start_session", {}), usage=STEP)
    plan = [ask, ask, ask, says("end", usage=STEP)]
    tools = agent_tools([told(100), told(100), told(150, "x/s9/2")])
    async with world(tmp_path, *plan, tools=tools) as w:
        report = await start(w)
        summary = await w.service.summary("s1")
        tally = (await w.logs.state("s1")).tally.total
    assert report.usage.input_tokens == summary.usage.input_tokens == 40 + 100 + 150
    assert report.usage.cost_usd == pytest.approx(0.04 + 1.0)
    assert (tally.tool_calls, tally.steps) == (3 + 4, 4 + 2)
    assert tally.seconds < 5, "its time has passed in our own call"
    assert report.spent.tokens == tally.tokens


async def test_a_called_agent_that_overspends_ends_the_turn_without_another_reply(tmp_path: Path) -> None:
    tools = agent_tools([Bill("x/s9/1", Spent(steps=3, input_tokens=5_000))])
    plan = [calls(("t__start_session", {}), usage=STEP), says("never")]
    async with world(tmp_path, *plan, budget=Budget(tokens=1_000), tools=tools) as w:
        report = await start(w)
    assert (report.stop_reason, len(w.model.requests)) == ("budget", 1)
    assert report.warnings[0].startswith("a budget ended the turn: 5015 of 1000 tokens")


async def test_calls_of_one_step_share_what_is_left_but_for_the_time(tmp_path: Path) -> None:
    seen: list[Caps] = []

    class Asking(FunctionTools):
        async def open_toolbox(self, scope: Any) -> "Asking":
            self.link = scope.chain
            return self

        async def call(self, call: ToolCall) -> ToolResult:
            seen.append(self.link.allowance(call.id))
            return await super().call(call)

    two = calls(
        ("t__start_session", {}), ("t__send_message", {}), ("t__echo", {}), usage=Usage(20, 10, cost_usd=0.1)
    )
    tools = Asking({"start_session": echo, "send_message": echo, "echo": echo})
    budget = Budget(tokens=1_000, cost_usd=1.0, seconds=60.0, turn=Caps(tool_calls=9))
    async with world(tmp_path, two, says("end", usage=STEP), budget=budget, tools=tools) as w:
        await start(w)
    assert [caps.tokens for caps in seen[:2]] == [(1_000 - 30 - 30) // 2] * 2
    assert seen[0].cost_usd == pytest.approx(0.4)
    assert seen[0].seconds is not None and 55 < seen[0].seconds <= 60
    assert seen[0].tool_calls == 4


def test_figures_of_a_limit_are_told_as_finely_as_it_is_set() -> None:
    spent = Spent(seconds=0.52, output_tokens=90, cost_usd=0.1)
    caps = Caps(seconds=0.5, tokens=100, cost_usd=0.05)
    stretch = Stretch("this session", caps, spent, "")
    told = [str(Limit(stretch, cap)).removesuffix(" of this session are used") for cap in caps.limits]
    assert sorted(told) == ["0.1000 of 0.05 USD", "0.5 of 0.5 seconds", "90 of 100 tokens"]


def test_an_allowance_and_a_bill_survive_their_way_and_nonsense_counts_as_nothing() -> None:
    spent = Spent(steps=2, tool_calls=1, input_tokens=30, output_tokens=4, cost_usd=0.5)
    bill = bill_of({BILL_KEY: to_bill("s1/2", spent)}, "below")
    assert bill == Bill("below/s1/2", spent)
    unpriced = Spent(steps=1, unpriced=1)
    assert bill_of({BILL_KEY: to_bill("s1/2", unpriced)}, "below") == Bill("below/s1/2", unpriced)
    odd = {"tokens": -1, "steps": True, "cost_usd": float("nan"), "seconds": "9", "tool_calls": 3, "more": 1}
    assert allowance_of({ALLOWANCE_KEY: odd}) == Caps(tool_calls=3)
    nonsense: list[object] = [None, [], 5, "x"]
    for nothing in nonsense:
        assert allowance_of({ALLOWANCE_KEY: nothing}) == Caps()
        assert bill_of({BILL_KEY: nothing}, "below") is None
        assert bill_of(nothing, "below") is None
