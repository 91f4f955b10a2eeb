"""A turn of ten steps of three calls, killed by `kill -9` at each of its writes and finished by another process.

Most kills hit light processes, which hold all but MCP and the models; some hit the whole server. The whole matrix is
`python -m tests.support.crash`.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import anyio
import pytest

from tests.support.crash.matrix import WRITES, points, verdicts
from tests.support.crash.mortal import Point, read_boundary
from tests.support.crash.serve import crash_environ
from tests.support.crash.serve import main as mortal_agent_mcp
from tests.support.crash.turn import POLICIES, TOOLS, Case, Policy, live
from tests.support.crash.verdict import judge
from tests.support.host import open_client, open_host, open_server
from tests.support.journey import call, calls, open_scene, says, work_done
from tests.support.postgres import Cluster, requires_postgres

pytestmark = pytest.mark.anyio

PARTS = 4
"""The writes are shared out among so many tests, which run side by side."""


def test_an_undisturbed_turn_is_what_the_matrix_takes_it_for(tmp_path: Path) -> None:
    story = live(Case(tmp_path / "story"), None)
    assert story is not None
    assert not judge(story, "default").faults
    assert live(Case(tmp_path / "beyond"), Point(WRITES + 1, "before")) is None


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_after_any_write_changes_nothing_but_the_calls_in_flight(tmp_path: Path, part: int) -> None:
    check(tmp_path, "default", [Point(write, "after") for write in range(1 + part, WRITES + 1, PARTS)])


@pytest.mark.parametrize("policy", POLICIES)
def test_kills_between_a_calls_effect_and_its_result_follow_the_servers_policy(
    tmp_path: Path, policy: Policy
) -> None:
    # A step takes seven writes: every ninth meets each of them, at different steps.
    check(tmp_path, policy, points(first=1 + POLICIES.index(policy), step=9))


@requires_postgres
def test_kills_on_postgresql_leave_the_same_log(tmp_path: Path, cluster: Cluster) -> None:
    chosen = [Point(*place) for place in ON_POSTGRES]
    check(tmp_path, "default", chosen, store_url=lambda _: cluster.url(cluster.create()))


ON_POSTGRES: tuple[tuple[int, Literal["before", "after"]], ...] = (
    (7, "after"),
    (10, "before"),
    (18, "before"),
    (75, "after"),
)
"""Few, since a dead process shows only by its silence there."""


def check(
    folder: Path,
    policy: Policy,
    chosen: Iterable[Point],
    *,
    store_url: Callable[[str], str | None] = lambda _: None,
) -> None:
    """Kill at each point; nothing may be wrong with any."""
    faults = [
        f"{verdict.boundary}: {fault}"
        for verdict in verdicts(folder, policy, chosen, store_url=store_url)
        for fault in verdict.faults
    ]
    assert not faults


MIXED = [calls(*(call(tool, item=str(step)) for tool in TOOLS)) for step in range(3)]
DEATHS: tuple[tuple[int, Literal["before", "after"]], ...] = (
    (4, "before"),
    (6, "after"),
    (5, "before"),
    (8, "after"),
)
"""At which write each process dies, counted from its start."""


async def test_the_whole_server_killed_again_and_again_loses_and_repeats_nothing(tmp_path: Path) -> None:
    start = {"session_id": "s1", "message": "mixed"}
    with anyio.fail_after(60):
        async with open_scene(tmp_path, {"mixed": [*MIXED, says("All done.")]}) as scene:
            for number, (write, moment) in enumerate(DEATHS):
                note = tmp_path / f"boundary-{number}.json"
                scene.home.environ |= crash_environ(Point(write, moment), note)
                async with (
                    open_server(scene.home, program=mortal_agent_mcp) as server,
                    open_client(server) as host,
                ):
                    await host.call("start_session", **start, wait_seconds=0)
                    await server.exit()
                assert read_boundary(note).moment == moment
            async with open_host(scene.home) as host:
                ended = await host.call("start_session", **start)
    log, done = scene.home.events(), Counter(work_done(scene.home))
    results = Counter(data["call_id"] for _, _, _, kind, data in log if kind == "tool_result")
    assert (ended["text"], ended["turn"], ended["stop_reason"]) == ("All done.", 1, "end_turn")
    assert [seq for _, seq, *_ in log] == list(range(1, len(log) + 1))
    assert list(results.values()) == [1] * 9
    assert set(done) | {f"book {step}" for step in range(3)} == {
        f"{tool} {step}" for tool in TOOLS for step in range(3)
    }
    assert all(done[f"book {step}"] <= 1 for step in range(3)), done
    statuses = {c["name"]: set[str]() for step in ended["steps"] for c in step["tool_calls"]}
    for step in ended["steps"]:
        for made in step["tool_calls"]:
            statuses[made["name"]].add(made["status"])
    assert statuses["desk__look"] == statuses["desk__put"] == {"ok"}
    assert statuses["desk__book"] <= {"ok", "interrupted"}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_turn_counts_as_delivered_only_once_the_host_has_its_answer(
    tmp_path: Path, moment: Literal["before", "after"]
) -> None:
    note, start = tmp_path / "boundary.json", {"session_id": "s1", "message": "go"}
    with anyio.fail_after(60):
        async with open_scene(tmp_path, {"go": [says("Done.")]}) as scene:
            scene.home.environ |= crash_environ(Point(DELIVERED, moment), note)
            async with (
                open_server(scene.home, program=mortal_agent_mcp) as server,
                open_client(server) as host,
            ):
                answer = await host.call("start_session", **start)
                await server.exit()
            async with open_host(scene.home) as host:
                again = await host.call("start_session", **start)
    assert read_boundary(note).what == "delivered"
    assert (answer["text"], answer["stop_reason"]) == ("Done.", "end_turn")
    assert (again["turn"], again.get("resent")) == ((1, True) if moment == "before" else (2, None))


DELIVERED = 6
"""After the message, the claim, the tools, the reply and the end."""
