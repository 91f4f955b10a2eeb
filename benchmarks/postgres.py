"""Replicas on a PostgreSQL of their own, in light processes with a planned model: failover, queue, log, followers.

The server waits for the disk, as it must in earnest. Without PostgreSQL's programs there are no rows.
"""

import os
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import psutil

from agent_mcp.config.schema import WorkerSettings
from agent_mcp.sessions.events import ApprovalGiven
from agent_mcp.sessions.ports import NewSession, SessionStore
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.start import StartRequest
from agent_mcp.store.open import open_store
from benchmarks.programs import Bench
from benchmarks.table import Row, Target
from tests.support.postgres import PROGRAMS, Cluster, open_cluster
from tests.support.replicas import (
    held_by,
    hold,
    open_replica,
    until,
    until_done,
    until_ready,
    worker,
)

_WRITERS, _EVENTS_EACH = 100, 50
_IN_FLIGHT = 500
_FOLLOWERS = 2000
_THREE_SECONDS = WorkerSettings(concurrency=200, connections=10, heartbeat_seconds=1, stalled_seconds=3)
_MANY = WorkerSettings(concurrency=_IN_FLIGHT, connections=10)
_TEXT = "echoed: " + "x" * 150


async def measure_postgres(bench: Bench, rounds: int) -> Sequence[Row]:
    """Everything that there is on PostgreSQL alone."""
    if PROGRAMS is None:
        return []
    async with _open_cluster() as cluster:
        return [
            *[await _failover(cluster, bench.directory, rounds, number) for number in _SIGNALS],
            await _queue(cluster, bench.directory, rounds),
            *await _appends(cluster, bench.directory, rounds),
            *[await _in_flight(cluster, bench.directory, workers) for workers in (1, 4)],
            *await _followers(cluster),
        ]


_SIGNALS = {signal.SIGKILL: "killed", signal.SIGSTOP: "frozen"}


@asynccontextmanager
async def _open_cluster() -> AsyncGenerator[Cluster]:
    """The tests' server, but one that waits for the disk."""
    opening = open_cluster()
    cluster = await anyio.to_thread.run_sync(opening.__enter__)
    try:
        for sql in ("ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"):
            await anyio.to_thread.run_sync(cluster.execute, sql)
        yield cluster
    finally:
        await anyio.to_thread.run_sync(opening.__exit__, None, None, None)


async def _failover(cluster: Cluster, folder: Path, rounds: int, number: signal.Signals) -> Row:
    """From the signal until another worker has begun the calls of the turn, with a limit of 3 s."""
    row = Row(f"failover of a {_SIGNALS[number]} worker, limit 3 s", "s", Target("at most", 6))
    for attempt in range(min(rounds, 5)):
        url = cluster.url(cluster.create())
        place = _new(folder, f"failover-{number.name}-{attempt}")
        hold(place)
        async with open_replica(url, place, settings=_THREE_SECONDS) as here:
            with worker(url, place, "one", settings=_THREE_SECONDS) as one:
                await here.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=0)
                await until(lambda place=place: held_by(place, "s1") is not None)
                with worker(url, place, "two", settings=_THREE_SECONDS):
                    await until_ready(place, "two")
                    assert one.pid is not None
                    began = time.perf_counter()
                    os.kill(one.pid, number)
                    await until(lambda place=place: held_by(place, "s1") == "two")
                    row.ours.append(time.perf_counter() - began)
    return row


async def _queue(cluster: Cluster, folder: Path, rounds: int) -> Row:
    """From the message in the log until the turn's first event, written by a worker that had nothing to do."""
    row = Row("enqueue to start, PostgreSQL", "ms", Target("at most", 25))
    url, place = cluster.url(cluster.create()), _new(folder, "queue")
    async with open_replica(url, place) as here:
        with worker(url, place, "one"):
            await until_ready(place, "one")
            for number in range(rounds * 5):
                name = f"s{number}"
                await here.service.start(StartRequest(message="go"), session_id=name, wait_seconds=20)
                message, begun, *_ = await here.store.read(name)
                row.ours.append((begun.at - message.at) * 1000)
    return row


async def _appends(cluster: Cluster, folder: Path, rounds: int) -> Sequence[Row]:
    """Events that are on the disk, against SQLite; and of one writer alone."""
    many = Row(f"log appends, {_WRITERS} writers, PostgreSQL / SQLite", "1/s")
    one = Row("log append, one writer, PostgreSQL / SQLite", "ms")
    for number in range(min(rounds, 5)):
        url = cluster.url(cluster.create())
        file = f"sqlite:///{folder / f'appends-{number}.db'}"
        many.ours.append(await _appends_per_second(url, _WRITERS))
        many.bare.append(await _appends_per_second(file, _WRITERS))
        one.ours.append(1000 / await _appends_per_second(url, 1))
        one.bare.append(1000 / await _appends_per_second(file, 1))
    return [many, one]


async def _appends_per_second(url: str, writers: int) -> float:
    async with open_store(url) as store:
        for writer in range(writers):
            await store.create(NewSession(f"s{writers}-{writer}", Profile()))

        async def write(session_id: str) -> None:
            for _ in range(_EVENTS_EACH):
                await store.append(session_id, 1, [ApprovalGiven("call_1", "allow", _TEXT)])

        started = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for writer in range(writers):
                tasks.start_soon(write, f"s{writers}-{writer}")
        return writers * _EVENTS_EACH / (time.perf_counter() - started)


async def _in_flight(cluster: Cluster, folder: Path, workers: int) -> Row:
    """Turns of 4 steps with 3 calls each, all queued before the first worker comes."""
    row = Row(f"{_IN_FLIGHT} turns in flight, {workers} workers", "turns/s")
    url, place = cluster.url(cluster.create()), _new(folder, f"flight-{workers}")
    async with open_replica(url, place, settings=_MANY) as here, open_store(url) as store:
        for number in range(_IN_FLIGHT):
            await store.create(NewSession(f"s{number}", Profile(model="plan", servers=("t",))), message="go")
            here.dispatcher.enqueue(f"s{number}", 1)
        with ExitStack() as stack:
            for number in range(workers):
                stack.enter_context(worker(url, place, f"w{number}", settings=_MANY))
            await until(lambda: any((place / f"w{number}.ready").exists() for number in range(workers)))
            began = time.perf_counter()
            await until_done(store, seconds=300)
            row.ours.append(_IN_FLIGHT / (time.perf_counter() - began))
    return row


async def _followers(cluster: Cluster) -> Sequence[Row]:
    """What each waiting host costs a server: a follower of a session in which nothing happens."""
    memory = Row("a waiting host's follower, memory", "kB")
    cpu = Row(f"{_FOLLOWERS} idle followers, processor time", "%")
    process = psutil.Process()
    async with open_store(cluster.url(cluster.create())) as store:
        for number in range(_FOLLOWERS):
            await store.create(NewSession(f"s{number}", Profile()))
        before = process.memory_info().rss
        async with _following(store, _FOLLOWERS):
            memory.ours.append((process.memory_info().rss - before) / 1000 / _FOLLOWERS)
            used, began = sum(process.cpu_times()[:2]), time.perf_counter()
            await anyio.sleep(10)
            cpu.ours.append((sum(process.cpu_times()[:2]) - used) / (time.perf_counter() - began) * 100)
    return [memory, cpu]


@asynccontextmanager
async def _following(store: SessionStore, count: int) -> AsyncGenerator[None]:
    """So many followers, each at the end of its log."""

    async def follow(name: str) -> None:
        async with store.tail(name, after=0) as tail:
            await anext(tail)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(follow, f"s{number}")
        await anyio.sleep(5)  # for the first look of each, and the imports of the first one
        yield
        tasks.cancel_scope.cancel()


def _new(folder: Path, name: str) -> Path:
    (place := folder / name).mkdir()
    return place
