"""Replies of the model to servers: under the session's budget, bounded, counted, and in nobody's history."""

from pathlib import Path

import anyio
import pytest

from agent_mcp.agent.messages import Reply, Usage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.errors import ModelError
from agent_mcp.sessions import sampling
from agent_mcp.sessions.profile import Budget, Profile
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.start import StartRequest
from tests.support.asking import AskingTools
from tests.support.world import Plan, World, calls, open_world, says

pytestmark = pytest.mark.anyio

BRIEF = "Be brief."


def plan(*samples: str, usage: Usage | None = None, count: int = 1) -> list[Plan]:
    """A turn that calls `sample` so many times side by side, and what the model says to the server."""
    left = list(samples)

    async def first(request: ModelRequest) -> Reply:
        if request.system == BRIEF:
            return says(left.pop(0) if len(left) > 1 else left[0], usage=usage)
        return calls(*[("t__sample", {"text": "Say hi"})] * count)

    return [first, says("done")]


async def run(w: World) -> TurnReport:
    return await w.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=10)


async def results(w: World) -> list[str]:
    state = await w.logs.state("s1")
    return [call.result.text for call in state.calls.values() if call.result is not None]


async def test_the_sessions_model_answers_and_its_usage_is_the_sessions(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, *plan("hi", usage=Usage(100, 50)), tools=AskingTools()) as w:
            report = await run(w)
            told = await results(w)
            summary = await w.service.summary("s1")
    sampled, _, last = [request for request in w.model.requests if request.system == BRIEF] + [
        w.model.requests[0],
        w.model.requests[-1],
    ]
    assert told == ["plan: hi"]
    assert (sampled.tools, sampled.max_output_tokens) == ((), 7)
    assert (report.usage.input_tokens, report.usage.output_tokens) == (120, 60)
    assert summary.usage == report.usage
    assert (summary.steps, summary.messages) == (2, 4)
    assert not any(getattr(message, "text", "") in ("hi", "Say hi") for message in last.history)


async def test_a_spent_budget_refuses_before_the_model_is_asked(tmp_path: Path) -> None:
    profile = Profile(agent="a", model="plan", servers=("t",), budget=Budget(tokens=40))
    with anyio.fail_after(10):
        async with open_world(tmp_path, *plan("hi"), profile=profile, tools=AskingTools()) as w:
            await run(w)
            [told] = await results(w)
    assert "budget leaves no room" in told
    assert all(request.system != BRIEF for request in w.model.requests)


async def test_what_one_sample_spends_is_gone_for_the_next(tmp_path: Path) -> None:
    profile = Profile(agent="a", model="plan", servers=("t",), budget=Budget(tokens=280))
    steps = plan("hi", usage=Usage(250, 0), count=2)
    with anyio.fail_after(10):
        async with open_world(tmp_path, *steps, profile=profile, tools=AskingTools()) as w:
            await run(w)
            told = sorted(await results(w))
    assert told[0] == "plan: hi"
    assert "budget leaves no room" in told[1]


async def test_a_call_may_have_only_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SAMPLES_PER_CALL", 0)
    with anyio.fail_after(10):
        async with open_world(tmp_path, *plan("hi"), tools=AskingTools()) as w:
            await run(w)
            [told] = await results(w)
    assert "at most 0 replies" in told


async def test_a_model_that_fails_is_no_failure_of_the_turn(tmp_path: Path) -> None:
    async def failing(request: ModelRequest) -> Reply:
        if request.system == BRIEF:
            raise ModelError("it is on fire")
        return calls(("t__sample", {}))

    with anyio.fail_after(10):
        async with open_world(tmp_path, failing, says("done"), tools=AskingTools()) as w:
            report = await run(w)
            [told] = await results(w)
    assert report.stop_reason == "end_turn"
    assert "it is on fire" in told


async def test_a_fork_takes_the_cost_of_samples_with_it(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, *plan("hi", usage=Usage(100, 50)), tools=AskingTools()) as w:
            report = await run(w)
            fork = await w.service.fork("s1", at_step=None)
            summary = await w.service.summary(fork.session_id)
    assert summary.usage == report.usage
