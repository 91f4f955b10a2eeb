"""Agents under agents come to an end."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_mcp.errors import RecursionLimitError
from agent_mcp.sessions.chain import (
    ALLOWANCE_KEY,
    ANCESTRY_KEY,
    BILL_KEY,
    MAX_DEPTH,
    allowance_of,
    ancestry_of,
    bill_of,
    depth_of,
)
from agent_mcp.sessions.profile import Caps
from agent_mcp.sessions.spending import NOTHING
from agent_mcp.sessions.start import StartRequest
from tests.support.world import open_world

pytestmark = pytest.mark.anyio


async def test_a_session_carries_its_ancestors_and_itself(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path) as w:
            under = w.service.under(("top@1", "middle@2"))
            await under.start(StartRequest(message="hi"), session_id="s1", wait_seconds=5)
            fork = await w.service.fork("s1", at_step=None)
            line = (await w.store.get("s1")).profile.ancestry
            forked = (await w.store.get(fork.session_id)).profile.ancestry
    assert line[:2] == ("top@1", "middle@2")
    assert line[2].startswith("s1@")
    assert len(forked) == 1 and forked[0].startswith(f"{fork.session_id}@")


async def test_too_long_a_chain_is_refused_before_a_session_is_made(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path) as w:
            ancestors = tuple(f"s{n}@0" for n in range(MAX_DEPTH))
            with pytest.raises(RecursionLimitError):
                await w.service.under(ancestors).start(StartRequest(), session_id="deep", wait_seconds=0)
            await w.service.under(ancestors[1:]).start(StartRequest(), session_id="deep", wait_seconds=0)


async def test_a_session_cannot_be_sent_a_message_from_under_itself(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path) as w:
            await w.service.start(StartRequest(message="hi"), session_id="s1", wait_seconds=5)
            line = (await w.store.get("s1")).profile.ancestry
            below = w.service.under((*line, "child@1"))
            with pytest.raises(RecursionLimitError):
                await below.send("s1", "again", wait_seconds=0)
            summary = await below.summary("s1")
    assert summary.turns == 1


@pytest.mark.parametrize("odd", [None, "s1", 5, {"a": 1}, [1, None, ["x"]]])
def test_an_odd_ancestry_counts_as_none(odd: Any) -> None:
    assert ancestry_of({ANCESTRY_KEY: odd}) == ()
    assert ancestry_of({}) == ()


@pytest.mark.parametrize(("text", "depth"), [("", 0), ("3", 3), ("-1", 0), ("x", 0)])
def test_the_depth_comes_from_the_environment(text: str, depth: int) -> None:
    assert depth_of({"AGENT_MCP_DEPTH": text}) == depth


@pytest.mark.parametrize("odd", [10**400, 10**30, 1e308, float("inf"), float("nan"), -1, True, "7", [], None])
def test_figures_that_nobody_can_mean_are_left_out(odd: Any) -> None:
    assert allowance_of({ALLOWANCE_KEY: {"tokens": odd, "steps": 3}}) == Caps(steps=3)
    bill = bill_of({BILL_KEY: {"turn": "t" * 10_000, "input_tokens": odd, "cost_usd": odd}}, "s")
    assert bill is not None
    assert (bill.spent, len(bill.turn) < 1_000) == (NOTHING, True)
