"""Whatever a script and whatever a budget: none is passed by more than one reply.

Played through the real runner, store and service. What is checked is counted anew from the log, not taken from the
figures that the budgets themselves are held against.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import Reply, Text, ToolCall, ToolResult, Usage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.agent.spending import Bill, Spent
from agent_mcp.errors import BudgetExceededError
from agent_mcp.sessions.events import ModelReplied, Sampled, ToolFinished
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.sessions.profile import Budget, Caps, Profile
from agent_mcp.sessions.start import StartRequest
from tests.support.world import FunctionTools, PlannedModel, World, calls, open_world, says

SESSIONS = ("s1", "s2")
TURNS = 2


@dataclass(frozen=True)
class Step:
    """A reply, and what comes of its calls."""

    usage: Usage
    results: tuple[int, ...]
    """For each call, by how much of its allowance another agent that it runs overspends, in tokens; -1: runs none."""


@dataclass(frozen=True)
class Script:
    """The replies of every turn, one after the other; the last one is of text alone."""

    steps: tuple[Step, ...]
    budget: Budget
    each: Budget


def _usage(read: int, wrote: int, cents: int) -> Usage:
    return Usage(read, wrote, cost_usd=cents / 100)


def _step(usage: Usage, results: list[int]) -> Step:
    return Step(usage, tuple(results))


def _budget(session: Caps, turn: Caps, day: Caps) -> Budget:
    return Budget(**session.limits, turn=turn, day=day)


def _script(steps: list[Step], budget: Budget, each: Budget) -> Script:
    return Script(tuple(steps), budget, each)


TOKENS = st.integers(1, 60)
USAGES = st.builds(_usage, TOKENS, TOKENS, st.integers(0, 40))
STEPS = st.builds(_step, USAGES, st.lists(st.sampled_from([-1, -1, 0, 25]), max_size=4))


def _up_to(limit: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(1, limit)


CAPS = st.builds(
    Caps,
    tokens=_up_to(600),
    input_tokens=_up_to(400),
    output_tokens=_up_to(400),
    steps=_up_to(12),
    tool_calls=_up_to(12),
    cost_usd=st.none() | st.floats(0.05, 4.0),
)
BUDGETS = st.builds(_budget, CAPS, st.just(Caps()) | CAPS, CAPS)
SCRIPTS = st.builds(_script, st.lists(STEPS, min_size=1, max_size=8), BUDGETS, BUDGETS)


class Counted:
    """What the log says was spent, by session and turn; and what held when each reply was asked for."""

    def __init__(self) -> None:
        self.by_turn: dict[tuple[str, int], Counter[str]] = {}
        self._bills: dict[str, Counter[str]] = {}

    async def look(self, store: SessionStore) -> None:
        """Count everything anew."""
        self.by_turn.clear()
        for session_id in SESSIONS:
            self._bills.clear()
            for event in await store.read(session_id):
                figures = self.by_turn.setdefault((session_id, event.turn), Counter())
                match event.data:
                    case ModelReplied(usage=usage) | Sampled(usage=usage):
                        figures.update(
                            _figures(1, 0, usage.input_tokens, usage.output_tokens, usage.cost_usd)
                        )
                    case ToolFinished(code=code, bill=bill):
                        figures["tool_calls"] += code not in ("TOOL_DENIED", "TOOL_NOT_FOUND")
                        if bill is not None:
                            figures.update(self._news(bill))
                    case _:
                        pass

    def _news(self, bill: Bill) -> Counter[str]:
        spent = bill.spent
        told = _figures(
            spent.steps, spent.tool_calls, spent.input_tokens, spent.output_tokens, spent.cost_usd
        )
        news = told - self._bills.get(bill.turn, Counter())
        self._bills[bill.turn] = told
        return news

    def total(self, belongs: Callable[[str, int], bool]) -> Counter[str]:
        """The sum over some turns."""
        total: Counter[str] = Counter()
        for (session_id, turn), figures in self.by_turn.items():
            if belongs(session_id, turn):
                total.update(figures)
        return total


def _figures(steps: int, tool_calls: int, read: int, wrote: int, cost_usd: float | None) -> Counter[str]:
    cents = round((cost_usd or 0.0) * 100)
    return Counter(
        steps=steps,
        tool_calls=tool_calls,
        input_tokens=read,
        output_tokens=wrote,
        tokens=read + wrote,
        cents=cents,
    )


def passed(caps: Caps, spent: Counter[str]) -> list[str]:
    """The limits that are passed."""
    limits = {name: limit for name, limit in caps.limits.items() if name not in ("cost_usd", "seconds")}
    found = [name for name, limit in limits.items() if spent[name] > limit]
    return (
        [*found, "cost_usd"]
        if caps.cost_usd is not None and spent["cents"] / 100 > caps.cost_usd + 1e-9
        else found
    )


class WatchedModel(PlannedModel):
    """Plays the script, and notes every limit that had been passed already when a reply was asked for."""

    def __init__(self, script: Script) -> None:
        super().__init__([])
        self.world: World | None = None
        self.wrong: list[str] = []
        self._script = script

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """The next reply of the script."""
        assert self.world is not None
        counted = Counted()
        await counted.look(self.world.store)
        turn = len((await self.world.logs.state(request.session_id)).turns)
        for caps, belongs in stretches(self._script, request.session_id, turn):
            self.wrong += [f"asked beyond {name}" for name in passed(caps, counted.total(belongs))]
        index = sum(isinstance(message, Reply) for message in request.history)
        steps = self._script.steps
        if index % (len(steps) + 1) == len(steps):
            return says("the end", usage=Usage(1, 1, cost_usd=0.0))
        step = steps[index % (len(steps) + 1)]
        wanted = [("t__start_session" if over >= 0 else "t__echo", {"over": over}) for over in step.results]
        return calls(*wanted, text="on", usage=step.usage)


def stretches(script: Script, session_id: str, turn: int) -> list[tuple[Caps, Callable[[str, int], bool]]]:
    """Every limit, with what it is over: all sessions are one agent's, one principal's and of one day."""
    found: list[tuple[Caps, Callable[[str, int], bool]]] = []
    for budget in (script.budget, script.each):
        session, each_turn, day = budget.stretches
        found.append((each_turn, lambda s, n: (s, n) == (session_id, turn)))
        found.append((session, lambda s, _: s == session_id))
        found.append((day, lambda s, n: True))
    return found


class OtherAgents(FunctionTools):
    """Tools of which some run another agent, which spends all that it may and then some: at most one reply more."""

    async def open_toolbox(self, scope: Any) -> "OtherAgents":
        """For this turn."""
        self.link = scope.chain
        return self

    async def call(self, call: ToolCall) -> ToolResult:
        """A result with a bill, if an agent ran."""
        over = (call.arguments or {})["over"]
        if over < 0:
            return ToolResult(call.id, (Text("heard"),))
        tokens = self.link.allowance(call.id).tokens
        spent = Spent(steps=1, input_tokens=over + (5 if tokens is None else tokens))
        return ToolResult(call.id, (Text("done"),), bill=Bill(f"x/{call.id}/1", spent))


async def play(script: Script, folder: Path) -> list[str]:
    """What went wrong."""
    model = WatchedModel(script)
    tools = OtherAgents({"echo": _never, "start_session": _never})
    profile = Profile(agent="a", model="watched", servers=("t",), budget=script.budget, max_steps=6)
    with anyio.fail_after(20):
        async with open_world(folder, profile=profile, tools=tools, each=script.each) as world:
            world.models.models["watched"] = model
            model.world = world
            for session_id in SESSIONS:
                await _run_turns(world, session_id)
            await _check_calls(world, script, model.wrong)
    return model.wrong


async def _run_turns(world: World, session_id: str) -> None:
    try:
        report = await world.service.start(StartRequest(message="go"), session_id=session_id, wait_seconds=10)
        for _ in range(TURNS - 1):
            await world.service.delivered(report)
            report = await world.service.send(session_id, "go on", wait_seconds=10)
    except BudgetExceededError:
        return


async def _check_calls(world: World, script: Script, wrong: list[str]) -> None:
    """The number of calls is never passed at all, but by what other agents do in theirs."""
    counted = Counted()
    await counted.look(world.store)
    for session_id, turn in list(counted.by_turn):
        for caps, belongs in stretches(script, session_id, turn):
            calls_made = counted.total(belongs)["tool_calls"]
            if caps.tool_calls is not None and calls_made > caps.tool_calls:
                wrong.append(f"{calls_made} of {caps.tool_calls} calls")


async def _never(arguments: dict[str, Any]) -> str:
    raise AssertionError


def run(script: Script) -> Sequence[str]:
    """Play it in a place of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return anyio.run(play, script, Path(folder))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SCRIPTS)
def test_no_reply_is_asked_for_once_a_limit_is_passed(script: Script) -> None:
    assert run(script) == []
