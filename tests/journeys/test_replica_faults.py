"""What may happen to replicas, their workers and their PostgreSQL in the middle of turns: nothing is lost, nothing is
there twice, and no call that may not be repeated is.
"""

import os
import signal
import time
from pathlib import Path

import anyio
import pytest

from agent_mcp.config.schema import WorkerSettings
from agent_mcp.sessions.events import Event, TurnEnded
from agent_mcp.sessions.ports import NewSession
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.start import StartRequest
from tests.support.network import open_namespace, requires_network_namespaces
from tests.support.postgres import Cluster, requires_postgres
from tests.support.replicas import (
    SETTINGS,
    faults,
    held_by,
    hold,
    host,
    noted,
    open_replica,
    release,
    until,
    until_done,
    until_ready,
    worker,
)
from tests.support.world import World

pytestmark = [pytest.mark.anyio]

PATIENT = WorkerSettings(concurrency=20, connections=4, heartbeat_seconds=20, stalled_seconds=60)
TAKEOVER_SECONDS = SETTINGS.stalled_seconds + 3
"""The lease, two sweeps, and some patience with a machine at work."""


async def begin(here: World, folder: Path, *names: str) -> None:
    """Have turns run up to the middle of their calls."""
    hold(folder)
    for name in names:
        await here.service.start(StartRequest(message="go"), session_id=name, wait_seconds=0)
    await until(lambda: all(held_by(folder, name) for name in names))


async def check(here: World, folder: Path, *names: str) -> None:
    """All of them are over and whole."""
    for name in names:
        assert faults(name, await here.store.read(name), folder) == [], noted(folder)
    assert await here.store.count_unfinished() == 0


@requires_postgres
async def test_a_killed_workers_turns_go_on_in_another(database_url: str, tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_replica(database_url, tmp_path) as here:
            with worker(database_url, tmp_path, "one") as one:
                await begin(here, tmp_path, "s1", "s2")
                with worker(database_url, tmp_path, "two"):
                    await until_ready(tmp_path, "two")
                    one.kill()
                    killed = time.monotonic()
                    release(tmp_path)
                    await until_done(here.store)
                    took_seconds = time.monotonic() - killed
            await check(here, tmp_path, "s1", "s2")
    assert took_seconds < TAKEOVER_SECONDS


@requires_postgres
async def test_a_frozen_workers_turn_goes_on_in_another_and_it_can_write_nothing_when_it_wakes(
    database_url: str, tmp_path: Path
) -> None:
    with anyio.fail_after(30):
        async with open_replica(database_url, tmp_path) as here:
            with worker(database_url, tmp_path, "one") as one:
                await begin(here, tmp_path, "s1")
                with worker(database_url, tmp_path, "two") as two:
                    await until_ready(tmp_path, "two")
                    assert one.pid is not None
                    os.kill(one.pid, signal.SIGSTOP)
                    frozen = time.monotonic()
                    release(tmp_path)
                    await until_done(here.store)
                    took_seconds = time.monotonic() - frozen
                    log = await here.store.read("s1")
                    two.kill()
                    two.join()
                os.kill(one.pid, signal.SIGCONT)
                # It has woken up, has met the end of its claim, and is of use again.
                report = await here.service.start(
                    StartRequest(message="go"), session_id="s2", wait_seconds=15
                )
                assert report.stop_reason == "end_turn"
            assert await here.store.read("s1") == log
            await check(here, tmp_path, "s1", "s2")
    assert took_seconds < TAKEOVER_SECONDS


@requires_postgres
async def test_a_worker_that_is_told_to_end_hands_its_turns_to_others_at_once(
    database_url: str, tmp_path: Path
) -> None:
    with anyio.fail_after(30):
        async with open_replica(database_url, tmp_path, settings=PATIENT) as here:
            with worker(database_url, tmp_path, "one", settings=PATIENT) as one:
                await begin(here, tmp_path, "s1", "s2")
                with worker(database_url, tmp_path, "two", settings=PATIENT):
                    await until_ready(tmp_path, "two")
                    one.terminate()
                    told = time.monotonic()
                    await until(lambda: {held_by(tmp_path, "s1"), held_by(tmp_path, "s2")} == {"two"})
                    took_seconds = time.monotonic() - told
                    release(tmp_path)
                    await until_done(here.store)
                    one.join(5)
                    assert one.exitcode == 128 + signal.SIGTERM
            await check(here, tmp_path, "s1", "s2")
    assert took_seconds < PATIENT.heartbeat_seconds, (
        "nobody had to wait for a sweep, nor for the lease to end"
    )


@requires_postgres
async def test_a_turn_outlives_the_replica_whose_host_waits_for_it(database_url: str, tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_replica(database_url, tmp_path) as here:
            with worker(database_url, tmp_path, "one"), host(database_url, tmp_path, "s1") as serving:
                hold(tmp_path)
                await until(lambda: held_by(tmp_path, "s1") is not None)
                serving.kill()
                serving.join()
                release(tmp_path)
                report = await here.service.send("s1", None, wait_seconds=15)
                again = await here.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=15)
            assert (report.text, report.turn, again.turn, again.resent) == ("Done.", 1, 1, True)
            await check(here, tmp_path, "s1")


@requires_postgres
async def test_turns_go_on_after_postgres_was_killed_and_started_again(
    cluster: Cluster, database_url: str, tmp_path: Path
) -> None:
    names = [f"s{number}" for number in range(5)]
    with anyio.fail_after(40):
        async with open_replica(database_url, tmp_path) as here:
            with worker(database_url, tmp_path, "one"):
                await begin(here, tmp_path, *names[:-1])
                crashing = anyio.to_thread.run_sync(cluster.crash)
                release(tmp_path)
                await crashing
                # A message that comes while the connections are broken.
                report = await here.service.start(
                    StartRequest(message="go"), session_id=names[-1], wait_seconds=20
                )
                assert report.stop_reason == "end_turn"
                await until_done(here.store)
            await check(here, tmp_path, *names)
            assert {line.split()[0] for line in noted(tmp_path)} == {"one"}
            assert max(noted(tmp_path).count(f"one {name} book 1") for name in names) == 1


@requires_postgres
async def test_a_follower_misses_nothing_when_its_connection_is_cut(
    cluster: Cluster, database_url: str, tmp_path: Path
) -> None:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    with anyio.fail_after(30):
        async with open_replica(database_url, tmp_path) as here:
            with worker(database_url, tmp_path, "one"):
                hold(tmp_path)
                await here.store.create(NewSession("s1", Profile(model="plan")), message="go")
                here.dispatcher.enqueue("s1", 1)
                seen: list[Event] = []

                async def follow() -> None:
                    async with here.store.tail("s1", after=0) as tail:
                        while not seen or not isinstance(seen[-1].data, TurnEnded):
                            seen.extend(await anext(tail))

                async with anyio.create_task_group() as group:
                    group.start_soon(follow)
                    await until(lambda: held_by(tmp_path, "s1") is not None)
                    assert await anyio.to_thread.run_sync(cluster.execute, cut)
                    release(tmp_path)
            assert seen == await here.store.read("s1")
            await check(here, tmp_path, "s1")


@requires_postgres
async def test_the_same_message_to_two_replicas_at_once_runs_once(database_url: str, tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with (
            open_replica(database_url, tmp_path) as here,
            open_replica(database_url, tmp_path, "there") as there,
        ):
            with worker(database_url, tmp_path, "one"), worker(database_url, tmp_path, "two"):
                turns: list[tuple[int, str]] = []

                async def ask(replica: World, name: str) -> None:
                    report = await replica.service.start(
                        StartRequest(message="go"), session_id=name, wait_seconds=15
                    )
                    turns.append((report.turn, report.text))

                names = [f"s{number}" for number in range(4)]
                async with anyio.create_task_group() as group:
                    for name in names:
                        for replica in (here, there):
                            group.start_soon(ask, replica, name)
            assert turns == [(1, "Done.")] * 8
            await check(here, tmp_path, *names)
            assert sum("book" in line for line in noted(tmp_path)) == 4 * len(names)


@requires_network_namespaces
@requires_postgres
async def test_a_worker_that_is_cut_off_loses_its_turn_and_comes_back_as_if_it_had_slept(
    cluster: Cluster, shared_database: str, database_url: str, tmp_path: Path
) -> None:
    with anyio.fail_after(40):
        with open_namespace() as far:
            far_url = cluster.url(shared_database, host=far.our_address)
            async with open_replica(database_url, tmp_path) as here:
                with worker(far_url, tmp_path, "far", namespace=far.name):
                    await begin(here, tmp_path, "s1")
                    with worker(database_url, tmp_path, "near") as near:
                        await until_ready(tmp_path, "near")
                        far.cut()
                        cut = time.monotonic()
                        release(tmp_path)
                        await until_done(here.store)
                        took_seconds = time.monotonic() - cut
                        near.kill()
                        near.join()
                    log = await here.store.read("s1")
                    far.mend()
                    report = await here.service.start(
                        StartRequest(message="go"), session_id="s2", wait_seconds=20
                    )
                    assert report.stop_reason == "end_turn"
                assert await here.store.read("s1") == log
                await check(here, tmp_path, "s1", "s2")
    assert took_seconds < TAKEOVER_SECONDS
