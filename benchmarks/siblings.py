"""Two servers on one store: one runs a turn, the other acts on it."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from benchmarks.programs import Bench, Program, Work
from benchmarks.table import Row, Target

_SLOW = Work(1, calls=1, tool="slow")


async def measure_siblings(bench: Bench, rounds: int) -> Sequence[Row]:
    """Cancel, approve and take over, each asked of the process that does not run the turn."""
    quick = Target("at most", 300)
    cancel = Row("cancel by another process", "ms", quick)
    approve = Row("approval by another process", "ms", quick)
    over = Row("takeover of a killed process's turn", "s", Target("at most", 2))
    async with _two(bench, "cancel") as (first, second):
        for number in range(rounds):
            cancel.ours.append(await _cancelled(first, second, f"cancel-{number}") * 1000)
    async with _two(bench, "approve", ask=True) as (first, second):
        for number in range(rounds):
            approve.ours.append(await _approved(first, second, f"approve-{number}") * 1000)
    for number in range(min(rounds, 3)):
        async with _two(bench, "takeover") as (first, second):
            over.ours.append(await _taken_over(first, second, f"takeover-{number}"))
    return [cancel, approve, over]


@asynccontextmanager
async def _two(bench: Bench, store: str, *, ask: bool = False) -> AsyncGenerator[tuple[Program, Program]]:
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(bench.open_ours(store=store, ask=ask)) for _ in range(2)]
        for host in hosts:
            await host.initialize()
            await host.request("tools/list", {})
        first, second = (Program(host, model="bench") for host in hosts)
        # Both have what a turn needs: the imports after the first listing are not what is measured here.
        for program in (first, second):
            await program.say(f"{store}-{id(program)}", Work(0))
        yield first, second


async def _running_call(program: Program, session: str) -> None:
    """Begin a turn and wait until its slow call is with the server."""
    await program.begin(session, _SLOW, wait_seconds=0)
    while True:
        summary = await program.host.call("summary", session_id=session, detail="steps")
        if '"running"' in str(summary["structuredContent"].get("transcript")).replace("'", '"'):
            return
        await anyio.sleep(0.02)


async def _cancelled(first: Program, second: Program, session: str) -> float:
    await _running_call(first, session)
    started = time.perf_counter()
    result = await second.host.call("cancel", session_id=session)
    _expect(result, "cancelled")
    return time.perf_counter() - started


async def _approved(first: Program, second: Program, session: str) -> float:
    asked = await first.begin(session, Work(1, calls=1))
    (waiting,) = asked["structuredContent"]["approvals"]
    started = time.perf_counter()
    result = await second.host.call(
        "approve", session_id=session, call_id=waiting["call_id"], decision="allow", wait_seconds=30
    )
    _expect(result, "end_turn")
    return time.perf_counter() - started


async def _taken_over(first: Program, second: Program, session: str) -> float:
    await _running_call(first, session)
    started = time.perf_counter()
    first.host.process.kill()
    result = await second.host.call("send_message", session_id=session, wait_seconds=30)
    _expect(result, "end_turn")
    return time.perf_counter() - started


def _expect(result: dict[str, Any], stop_reason: str) -> None:
    if result["structuredContent"]["stop_reason"] != stop_reason:
        raise RuntimeError(f"not {stop_reason}: {result}")
