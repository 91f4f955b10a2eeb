"""Many sessions in one server: at once, and idle."""

import time
from collections.abc import Sequence
from statistics import quantiles

import anyio

from benchmarks.programs import Bench, Program, Work, greeted
from benchmarks.table import Row, Target

_SESSIONS = 50
_STEPS = 10
_IDLE_BEFORE, _IDLE = 100, 300


async def measure_load(bench: Bench, rounds: int) -> Sequence[Row]:
    """50 sessions at once on one connection."""
    errors = Row("50 sessions: errors", "", Target("at most", 0))
    speed = Row("50 sessions: throughput", "steps/s", Target("ratio at least", 0.8))
    slow = Row("50 sessions: p95 of a step", "ms", Target("ratio at most", 1.5))
    opening = bench.open_ours(store="load")
    async with greeted(opening, model="bench") as ours, greeted(bench.open_bare()) as bare:
        for number in range(rounds):
            for side, program in (("ours", ours), ("bare", bare)):
                await bench.gaps()
                failed, seconds = await _all_at_once(program, f"load-{number}")
                gaps = [gap * 1000 for times in (await bench.gaps()).values() for gap in times]
                getattr(errors, side).append(failed)
                getattr(speed, side).append(len(gaps) / seconds)
                getattr(slow, side).append(quantiles(gaps, n=20)[-1])
    return [errors, speed, slow]


async def _all_at_once(program: Program, name: str) -> tuple[int, float]:
    failed = list[Exception]()

    async def talk(session: str) -> None:
        try:
            await program.say(session, Work(_STEPS))
        except Exception as error:
            failed.append(error)

    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for number in range(_SESSIONS):
            tasks.start_soon(talk, f"{name}-{number}")
    return len(failed), time.perf_counter() - started


async def measure_memory(bench: Bench, _: int) -> Sequence[Row]:
    """What a session of one turn with four calls leaves in a warm server."""
    row = Row("idle session", "kB", Target("at most", 20))
    opening = bench.open_ours(store="memory")
    async with greeted(opening, model="bench") as ours, greeted(bench.open_bare()) as bare:
        row.ours.append(await _kb_per_session(ours))
        row.bare.append(await _kb_per_session(bare))
    return [row]


async def _kb_per_session(program: Program) -> float:
    for number in range(_IDLE_BEFORE):
        await program.say(f"before-{number}", Work(1))
    before = program.host.rss_kb
    for number in range(_IDLE):
        await program.say(f"idle-{number}", Work(1))
    return (program.host.rss_kb - before) / _IDLE
