"""Turns on a queue in PostgreSQL: any replica serves any session, and what lost its job or its worker is found."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
import pytest
from procrastinate.jobs import Status

from agent_mcp.dispatch.jobs_schema import open_connector
from agent_mcp.dispatch.procrastinate import QueueDispatcher
from agent_mcp.dispatch.turn_queue import TurnQueue
from agent_mcp.dispatch.workplace import Bench, TurnStore, Workplace
from agent_mcp.errors import StoreError
from agent_mcp.sessions.ports import Dispatcher
from agent_mcp.sessions.start import StartRequest
from agent_mcp.store.open import open_store
from tests.contracts.store_contract import claimed, session
from tests.support.postgres import Cluster, requires_postgres
from tests.support.replicas import (
    PATIENCE_SECONDS,
    SETTINGS,
    faults,
    hold,
    noted,
    open_replica,
    release,
    until,
)

pytestmark = pytest.mark.anyio

Turn = tuple[str, int]


class Runs:
    """Notes what it is to run, and runs nothing."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.ran: list[Turn] = []

    async def run(self, session_id: str, turn: int, dispatcher: Dispatcher) -> None:
        """As a runner."""
        self.ran.append((session_id, turn))
        if self.failures:
            raise self.failures.pop(0)


@asynccontextmanager
async def open_queue(url: str, runs: Runs) -> AsyncGenerator[TurnQueue]:
    """A queue without a worker."""
    async with open_connector(url, connections=2) as connector:
        yield TurnQueue(connector, Bench(runs.run).work)


@requires_postgres
async def test_a_turn_of_one_replica_is_run_by_another_and_followed_here(
    database_url: str, tmp_path: Path
) -> None:
    with anyio.fail_after(PATIENCE_SECONDS):
        async with (
            open_replica(database_url, tmp_path, "worker", works=True),
            open_replica(database_url, tmp_path, "server") as here,
        ):
            report = await here.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=10)
            log = await here.store.read("s1")
    assert report.stop_reason == "end_turn" and report.text == "Done."
    assert faults("s1", log, tmp_path) == []


@requires_postgres
async def test_any_replica_cancels_a_turn_and_begins_the_next(database_url: str, tmp_path: Path) -> None:
    with anyio.fail_after(PATIENCE_SECONDS):
        async with (
            open_replica(database_url, tmp_path, "worker", works=True),
            open_replica(database_url, tmp_path) as one,
            open_replica(database_url, tmp_path) as other,
        ):
            hold(tmp_path)
            await one.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=0)
            await until(lambda: len(noted(tmp_path)) > 3)
            with anyio.fail_after(3):
                cancelled = await other.service.cancel("s1")
            release(tmp_path)
            again = await one.service.send("s1", "go on", wait_seconds=10)
    assert (cancelled.stop_reason, again.turn, again.stop_reason) == ("cancelled", 2, "end_turn")


@requires_postgres
async def test_a_turn_waits_in_the_queue_once_and_is_not_queued_while_it_is_worked_on(
    cluster: Cluster, shared_database: str, database_url: str
) -> None:
    async with open_queue(database_url, Runs()) as queue:
        for _ in range(3):
            await queue.put("s1", 1)
        assert await queue.turns() == {("s1", 1)}
        worker = await queue.jobs.register_worker()
        assert await queue.jobs.fetch_job(None, worker) is not None
        await queue.put("s1", 1)
        assert cluster.execute("SELECT count(*) FROM procrastinate_jobs", shared_database) == [(1,)]


@requires_postgres
async def test_a_job_taken_from_its_worker_is_not_ended_by_it(database_url: str) -> None:
    async with open_queue(database_url, Runs()) as queue:
        await queue.put("s1", 1)
        job = await queue.jobs.fetch_job(None, await queue.jobs.register_worker())
        assert job is not None
        await queue.replace_stalled(60)
        assert await queue.jobs.fetch_job(None, await queue.jobs.register_worker()) is None
        await queue.replace_stalled(0)
        replaced = await queue.jobs.fetch_job(None, await queue.jobs.register_worker())
        assert replaced is not None and replaced.id != job.id
        # The first worker wakes up and says that it is done.
        await queue.jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)
        assert await queue.turns() == {("s1", 1)}


@requires_postgres
async def test_the_sweeps_find_turns_without_a_job(database_url: str) -> None:
    runs = Runs()
    async with open_queue(database_url, runs) as queue, open_store(database_url) as store:
        for name in ("queued", "running", "alive"):
            await store.create(session(name), message="go")
        await claimed(store, "alive")
        async with open_store(database_url) as other:
            await claimed(other, "running")
        async with anyio.create_task_group() as group, open_store(database_url) as ours:
            dispatcher = QueueDispatcher(queue, cast("TurnStore", ours), Bench(runs.run), group)
            await dispatcher.sweep(stalled_seconds=60, queued=False)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(PATIENCE_SECONDS):
                while await queue.turns() != {("running", 1)}:
                    await anyio.sleep(0.01)
                await dispatcher.sweep(stalled_seconds=60, queued=True)
                while await queue.turns() != {("running", 1), ("queued", 1)}:
                    await anyio.sleep(0.01)


@requires_postgres
async def test_a_turn_that_cannot_go_on_comes_back(database_url: str, tmp_path: Path) -> None:
    """As when the store refused in the middle of it."""
    with anyio.fail_after(PATIENCE_SECONDS):
        async with open_replica(database_url, tmp_path, "worker", works=True) as here:
            failures = [StoreError("gone")]
            claim = here.store.claim

            async def fail_once(session_id: str, turn: int) -> object:
                if failures:
                    raise failures.pop()
                return await claim(session_id, turn)

            here.store.claim = fail_once  # pyright: ignore[reportAttributeAccessIssue]
            report = await here.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=10)
    assert not failures and report.text == "Done."


@requires_postgres
async def test_a_turn_is_handed_back_when_its_job_is_gone_and_it_is_free(database_url: str) -> None:
    async def run(session_id: str, turn: int, dispatcher: Dispatcher) -> None:
        await anyio.sleep_forever()

    class Resigning:
        """As much of a store as the end needs."""

        queued: set[Turn] | None = None

        async def resign(self) -> None:
            self.queued = await queue.turns()

    bench, store = Bench(run), Resigning()
    with anyio.fail_after(PATIENCE_SECONDS):
        async with open_connector(database_url, connections=2) as connector:
            queue = TurnQueue(connector, bench.work)
            workplace = Workplace(queue, bench, SETTINGS)
            async with anyio.create_task_group() as group:
                group.start_soon(workplace.stay)
                await queue.put("s1", 1)
                await until(lambda: bench.works_on(("s1", 1)))
                await workplace.leave(cast("TurnStore", store))
            assert store.queued == set()
            assert await queue.turns() == {("s1", 1)}


async def test_a_bench_runs_a_turn_once_at_a_time_and_what_it_opens_after_it() -> None:
    ran: list[Turn] = []
    gate = anyio.Event()

    async def run(session_id: str, turn: int, dispatcher: Dispatcher) -> None:
        ran.append((session_id, turn))
        if turn == 1:
            dispatcher.enqueue(session_id, 2)
            dispatcher.enqueue("another", 7)
            await gate.wait()

    bench = Bench(run)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(bench.work, "s", 1)
            await anyio.wait_all_tasks_blocked()
            await bench.work("s", 1)
            assert bench.works_on(("s", 1)) and ran == [("s", 1)]
            gate.set()
    assert ran == [("s", 1), ("s", 2)]
    assert not bench.interrupted


async def test_an_interrupted_bench_says_what_it_left() -> None:
    async def run(session_id: str, turn: int, dispatcher: Dispatcher) -> None:
        await anyio.sleep_forever()

    bench = Bench(run)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(bench.work, "s", 1)
            await anyio.wait_all_tasks_blocked()
            bench.interrupt()
    assert bench.interrupted == {("s", 1)} and not bench.works_on(("s", 1))
