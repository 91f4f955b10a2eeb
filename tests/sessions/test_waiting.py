"""Waiting for turns, and what ends it."""

from pathlib import Path

import anyio
import pytest

from agent_mcp.agent.messages import Reply
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.start import StartRequest
from tests.support.world import open_world, says

pytestmark = pytest.mark.anyio


async def test_where_all_waiting_ends_who_waits_is_told_how_the_turn_stands_and_nobody_waits_again(
    tmp_path: Path,
) -> None:
    begun, free = anyio.Event(), anyio.Event()
    reports: list[TurnReport] = []

    async def thinking(_: ModelRequest) -> Reply:
        begun.set()
        await free.wait()
        return says("done")

    with anyio.fail_after(15):
        async with open_world(tmp_path, thinking) as w:

            async def ask() -> None:
                reports.append(
                    await w.service.start(StartRequest("a", "go"), session_id="s", wait_seconds=60)
                )

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await begun.wait()
                w.waits.end()
            reports.append(await w.service.send("s", None, wait_seconds=60))
            assert [report.status for report in reports] == ["running", "running"]
            free.set()
            stopped = await w.service.cancel("s")
            assert stopped.stop_reason is not None
