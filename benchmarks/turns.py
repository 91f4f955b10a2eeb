"""Start, first answer, and what a step costs: on each wire, after a long past, with many tools."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from benchmarks.host import Host
from benchmarks.programs import WIRES, Bench, Program, Work, greeted
from benchmarks.table import Row, Target

_STEPS = 20
_STEP = Work(_STEPS)
_PAST = Work(100, calls=8)
_AT_MOST = Target("ratio at most", 1.2)


async def measure_start(bench: Bench, rounds: int) -> Sequence[Row]:
    """Spawn to initialize, and spawn to the first answer."""
    start = Row("start to initialize", "ms", _AT_MOST)
    first = Row("start to first answer", "ms")
    for number in range(rounds + 1):
        for values, opening, model in (
            ((start.ours, first.ours), bench.open_ours(store="start"), "bench"),
            ((start.bare, first.bare), bench.open_bare(), ""),
        ):
            initialized, answered = await _start(opening, model, f"start-{number}")
            if number:  # the first start may still have to compile and to make the store
                values[0].append(initialized * 1000)
                values[1].append(answered * 1000)
    return [start, first]


async def _start(opening: AbstractAsyncContextManager[Host], model: str, session: str) -> tuple[float, float]:
    began = time.perf_counter()
    async with opening as host:
        await host.initialize()
        initialized = time.perf_counter() - began
        await host.request("tools/list", {})
        await Program(host, model=model).say(session, Work(0))
        return initialized, time.perf_counter() - began


async def measure_steps(bench: Bench, rounds: int) -> Sequence[Row]:
    """A step of four calls on each wire, against the bare loop on the anthropic SDK and on the wire's own."""
    async with _all_wires(bench) as (ours, bare):
        times = {key: list[float]() for key in (*ours.items(), *bare.items())}
        for number in range(rounds):
            for key in times:
                times[key].append(await key[1].say(f"steps-{number}", _STEP) / _STEPS * 1000)
    yardstick = times["anthropic", bare["anthropic"]]
    against = [
        Row(f"step on {wire} / bare anthropic", "ms", _AT_MOST, times[wire, ours[wire]], yardstick)
        for wire in WIRES
    ]
    own = [
        Row(f"step on {wire} / bare {wire}", "ms", Target(), times[wire, ours[wire]], times[wire, bare[wire]])
        for wire in WIRES[1:]
    ]
    return [*against, *own]


@asynccontextmanager
async def _all_wires(bench: Bench) -> AsyncGenerator[tuple[dict[str, Program], dict[str, Program]]]:
    async with AsyncExitStack() as stack:
        ours, bare = dict[str, Program](), dict[str, Program]()
        for wire in WIRES:
            opening = bench.open_ours(wire, store=f"steps-{wire}")
            ours[wire] = await stack.enter_async_context(greeted(opening, model="bench"))
            bare[wire] = await stack.enter_async_context(greeted(bench.open_bare(wire)))
        yield ours, bare


@asynccontextmanager
async def _pair(bench: Bench, *, store: str, tools: int = 4) -> AsyncGenerator[tuple[Program, Program]]:
    opening = bench.open_ours(store=store, tools=tools)
    async with greeted(opening, model="bench") as ours, greeted(bench.open_bare(tools=tools)) as bare:
        yield ours, bare


async def measure_follow_up(bench: Bench, rounds: int) -> Sequence[Row]:
    """A message without calls in a session with 800 tool results."""
    row = Row("follow-up after 800 results", "ms", _AT_MOST)
    async with _pair(bench, store="follow-up") as (ours, bare):
        await ours.say("long", _PAST)
        await bare.say("long", _PAST)
        for _ in range(rounds * 3):
            row.ours.append(await ours.say("long", Work(0)) * 1000)
            row.bare.append(await bare.say("long", Work(0)) * 1000)
    return [row]


async def measure_many_tools(bench: Bench, rounds: int) -> Sequence[Row]:
    """A step with 500 tools listed."""
    row = Row("step with 500 tools", "ms", _AT_MOST)
    async with _pair(bench, store="tools", tools=500) as (ours, bare):
        for number in range(rounds):
            row.ours.append(await ours.say(f"many-{number}", _STEP) / _STEPS * 1000)
            row.bare.append(await bare.say(f"many-{number}", _STEP) / _STEPS * 1000)
    return [row]
