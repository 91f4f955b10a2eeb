"""No more child processes than may be: idle ones make room, busy ones don't."""

from functools import partial

import anyio
import psutil
import pytest

from agent_mcp.agent.messages import ToolResult
from agent_mcp.downstream.hub import Hub, open_hub
from tests.downstream.conftest import ask, raw, scope, until

pytestmark = pytest.mark.anyio

TWO = {"one": raw(scope="session"), "two": raw()}


def _children() -> int:
    return len(psutil.Process().children())


async def _opened(hub: Hub, session_id: str, *servers: str) -> list[str]:
    return list((await hub.open_toolbox(scope(*servers, session_id=session_id))).warnings)


async def test_an_idle_process_of_another_session_makes_room_for_a_new_one() -> None:
    with anyio.fail_after(20):
        async with open_hub(TWO, {}, {}, max_children=2) as hub:
            before = _children()
            assert await _opened(hub, "s1", "two", "one") == []
            assert await _opened(hub, "s2", "one") == []
            await until(lambda: _children() <= before + 2)
            assert [status.connected for status in hub.status(["two"])] == [True]
            assert await _opened(hub, "s1", "one") == []
            await until(lambda: _children() <= before + 2)


async def test_a_process_at_work_is_left_alone_and_the_new_one_is_refused_with_the_way_out() -> None:
    results: list[ToolResult] = []
    begun = anyio.Event()
    with anyio.fail_after(20):
        async with open_hub(TWO, {}, {}, max_children=1) as hub, anyio.create_task_group() as tasks:
            toolbox = await hub.open_toolbox(scope("one", session_id="s1", emit=lambda _: begun.set()))

            async def slow() -> None:
                results.append(await ask(toolbox, "one__slow", seconds=0.5))

            tasks.start_soon(slow)
            await begun.wait()
            (refused,) = await _opened(hub, "s2", "one")
            assert "all of them work" in refused
            assert "server.max_children" in refused
            await until(partial(bool, results))
            assert await _opened(hub, "s2", "one") == []
    assert not results[0].is_error
