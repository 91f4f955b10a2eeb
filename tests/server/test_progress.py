"""When a waiting host hears of its turn."""

import anyio
import anyio.lowlevel
import pytest

from agent_mcp.agent.events import ToolProgress
from agent_mcp.bootstrap import SystemClock
from agent_mcp.server import progress
from agent_mcp.server.progress import ProgressReporter

pytestmark = pytest.mark.anyio


async def test_a_servers_progress_does_not_wait_for_the_interval_and_a_flood_of_it_is_a_few_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "PACE_SECONDS", 0.05)
    lines: list[str | None] = []
    told = anyio.Event()

    async def report(number: float, total: float | None, line: str | None) -> None:
        lines.append(line)
        if "1000/1000" in str(line):
            told.set()

    reporter = ProgressReporter(report, clock=SystemClock(), interval_seconds=60)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reporter.run)
            for part in range(1, 1001):
                reporter.hear(ToolProgress("call_1", part, 1000, "parts"))
                await anyio.lowlevel.checkpoint()
            await told.wait()
            tasks.cancel_scope.cancel()
    assert len(lines) < 100
