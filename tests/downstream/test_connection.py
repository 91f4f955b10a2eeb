"""The states of a connection, with a server in memory."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.connection import Connection
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.live import MAX_PARALLEL_CALLS, Server
from agent_mcp.downstream.wire import JsonObject
from tests.downstream.conftest import until
from tests.downstream.memory import Answer, MemoryTarget, MemoryWire, legacy

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def _owned(
    target: MemoryTarget, *, connect_timeout: float = 0.2, idle_seconds: float = 60
) -> AsyncGenerator[Connection]:
    entry = ServerEntry(url="http://x", connect_timeout=connect_timeout)
    connection = Connection(Server("s", entry, target, target.era), idle_seconds=idle_seconds)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            yield connection
            connection.close()
    assert connection.state == "closed"


def _failing(times: int, answer: JsonObject | None) -> Answer:
    """A server whose handshake fails so many times, then works."""
    left = [times]
    sound = legacy({})

    def reply(request: JsonObject) -> JsonObject | None:
        if request["method"] == "initialize" and left[0]:
            left[0] -= 1
            return answer
        return sound(request)

    return reply


class _SlowToLeave(MemoryTarget):
    """Whose goodbye takes for ever."""

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[MemoryWire]:
        async with super().open() as wire:
            yield wire
            await anyio.sleep_forever()


_REFUSED: JsonObject = {"error": {"code": 1, "message": "not yet"}}


async def test_it_is_idle_until_it_is_needed_and_then_ready() -> None:
    target = MemoryTarget(legacy({}))
    async with _owned(target) as connection:
        assert (connection.state, target.wires) == ("idle", [])
        live = await connection.get()
        assert connection.state == "ready"
        assert await connection.get() is live


async def test_all_who_wait_at_once_get_the_same_connection() -> None:
    target = MemoryTarget(legacy({}))
    generations: list[int] = []

    async def need(connection: Connection) -> None:
        generations.append((await connection.get()).generation)

    async with _owned(target) as connection, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(need, connection)
    assert generations == [1] * 10
    assert len(target.wires) == 1


async def test_a_refused_one_is_broken_with_the_reason_and_tried_again_at_need() -> None:
    async with _owned(MemoryTarget(_failing(1, _REFUSED))) as connection:
        with pytest.raises(UnavailableError, match="not yet"):
            await connection.get()
        assert (connection.state, connection.reason) == ("broken", "not yet")
        assert await connection.get()
        assert connection.reason == ""


async def test_after_some_failures_in_a_row_nobody_waits_out_the_pause() -> None:
    target = MemoryTarget(_failing(99, _REFUSED))
    async with _owned(target) as connection:
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await connection.get()
        started = anyio.current_time()
        with pytest.raises(UnavailableError, match="not yet"):
            await connection.get()
        assert anyio.current_time() - started < 0.1
        assert len(target.wires) == 2


async def test_one_that_hung_comes_back_in_the_background() -> None:
    async with _owned(MemoryTarget(_failing(1, None))) as connection:
        with pytest.raises(UnavailableError, match=r"did not start within 0\.2 s"):
            await connection.get()
        started = anyio.current_time()
        with pytest.raises(UnavailableError, match="did not start"):
            await connection.get()
        assert anyio.current_time() - started < 0.1
        await until(lambda: connection.live is not None)
        assert await connection.get()


async def test_a_failure_stands_though_leaving_is_cut_short() -> None:
    target = _SlowToLeave(_failing(1, _REFUSED))
    async with _owned(target, connect_timeout=3) as connection:
        with pytest.raises(UnavailableError, match="not yet"):
            await connection.get()
        assert await connection.get()
        assert len(target.wires) == 2


async def test_a_lost_one_is_broken_at_once_and_made_anew_at_need() -> None:
    target = MemoryTarget(legacy({}))
    async with _owned(target) as connection:
        first = await connection.get()
        target.wires[0].gone.set()
        await until(lambda: connection.state == "broken")
        assert await first.epitaph() == "the connection was lost"
        second = await connection.get()
        assert second.generation > first.generation


async def test_an_unused_one_is_left_after_a_while_but_not_during_a_call() -> None:
    async with _owned(MemoryTarget(legacy({})), idle_seconds=0.1) as connection:
        live = await connection.get()
        async with live.in_use():
            await anyio.sleep(0.3)
            assert connection.state == "ready"
        await until(lambda: connection.state == "idle")
        assert connection.reason == ""


async def test_an_unchanged_tool_list_stays_the_same_object_over_reconnections() -> None:
    target = MemoryTarget(legacy({}))
    async with _owned(target) as connection:
        first = await connection.get()
        connection.recycle(first)
        assert (await connection.get()).listing is first.listing


async def test_a_changed_list_that_cannot_be_read_leaves_the_known_one() -> None:
    answers = [{"result": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}}, _REFUSED]
    sound = legacy({})
    target = MemoryTarget(
        lambda request: answers.pop(0) if request["method"] == "tools/list" else sound(request)
    )
    async with _owned(target) as connection:
        live = await connection.get()
        known = live.listing
        target.wires[0].tell({"method": "notifications/tools/list_changed"})
        assert live.stale
        assert await connection.current_listing(live) is known


async def test_no_more_than_so_many_calls_run_at_once() -> None:
    running = [0]
    most = [0]

    async with _owned(MemoryTarget(legacy({}))) as connection:
        live = await connection.get()

        async def one() -> None:
            async with live.in_use():
                running[0] += 1
                most[0] = max(most[0], running[0])
                await anyio.sleep(0.01)
                running[0] -= 1

        async with anyio.create_task_group() as tasks:
            for _ in range(MAX_PARALLEL_CALLS * 3):
                tasks.start_soon(one)
    assert most[0] == MAX_PARALLEL_CALLS


async def test_closing_one_that_is_connecting_does_not_wait_for_it() -> None:
    target = MemoryTarget(lambda _: None)
    async with _owned(target, connect_timeout=30) as connection, anyio.create_task_group() as tasks:
        tasks.start_soon(_expect_closed, connection)
        await until(lambda: connection.state == "connecting")
        connection.close()


async def _expect_closed(connection: Connection) -> None:
    with pytest.raises(UnavailableError, match="it was closed"):
        await connection.get()
