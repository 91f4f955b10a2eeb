"""A turn belongs to the server: hosts that wait, give up, disconnect or ask again."""

import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
from mcp.shared.dispatcher import ProgressFnT

from tests.support.host import ROOT, Era, Home, Host, Json, open_host, until
from tests.support.journey import Scene, call, calls, open_scene, release, says, work_done

pytestmark = pytest.mark.anyio

RULES = {
    "hold": [calls(call("look", item="a", hold=True), text="Looking."), says("Seen.")],
    "two steps": [calls(call("look", item="a")), calls(call("look", item="b")), says("Both seen.")],
    "join": [says("I read that too.")],
    "hello": [says("Hello.")],
}


async def test_a_call_that_waits_no_time_returns_running_and_the_turn_goes_on(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            started = await host.call("start_session", session_id="s1", message="hold", wait_seconds=0)
            await until(lambda: work_done(scene.home) == ["look a"])
            running = await host.call("send_message", session_id="s1", wait_seconds="0.1")
            release(scene.home, "a")
            ended = await host.call("send_message", session_id="s1")
    assert (started["status"], started["error"], started["turn"]) == ("running", None, 1)
    assert "send_message" in started["next"]
    assert (running["status"], running["text"], running["steps"]) == ("running", "", []), "no step has ended"
    assert len(ended["steps"]) == 2
    assert (ended["status"], ended["text"]) == ("idle", "Seen.")


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_host_that_cancels_its_call_leaves_the_turn_alive(tmp_path: Path, era: Era) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home, era) as host:
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(start_held, host)
                await until(lambda: work_done(scene.home) == ["look a"])
                waiting.cancel_scope.cancel()  # the client sends notifications/cancelled
            running = await host.call("send_message", session_id="s1", wait_seconds=0)
            release(scene.home, "a")
            # The text of the turn whose result never arrived: sent again, not said twice.
            resent = await host.say("s1", "hold")
            anew = await host.say("s1", "hello")
    assert running["status"] == "running"
    assert (resent["text"], resent["resent"], resent["turn"]) == ("Seen.", True, 1)
    assert (anew["turn"], anew.get("resent")) == (2, None)
    assert work_done(scene.home) == ["look a"]


async def start_held(host: Host) -> None:
    """Wait for a turn that does not end."""
    await host.call("start_session", session_id="s1", message="hold")


async def test_a_host_that_goes_away_finds_its_turn_finished_by_the_next_server(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene:
            async with open_host(scene.home) as host, anyio.create_task_group() as waiting:
                waiting.start_soon(start_held_until_it_breaks, host)
                await until(lambda: work_done(scene.home) == ["look a"])
                await host.server.close_stdin()
                assert await host.server.exit() == 0
            release(scene.home, "a")
            async with open_host(scene.home) as host:
                await until(lambda: "turn_ended" in scene.home.kinds())
                started = await host.call("start_session", session_id="s1", message="hold")
                again = await host.call("start_session", session_id="s1", message="hold")
    assert (started["text"], started["resent"], started["turn"]) == ("Seen.", True, 1)
    # Delivered by now: the same start is a new turn of the same session.
    assert again["turn"] == 2


async def start_held_until_it_breaks(host: Host) -> None:
    """Wait for a turn until the connection ends."""
    with pytest.raises(Exception, match=r"Connection closed|shutting down|cancel"):
        await start_held(host)


async def test_progress_comes_at_each_step_when_it_is_asked_for(tmp_path: Path) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    rules = {
        "hold both": [
            calls(call("look", item="a", hold=True)),
            calls(call("look", item="b", hold=True)),
            says("Both seen."),
        ]
    }
    with anyio.fail_after(30):
        async with (
            open_scene(tmp_path, rules) as scene,
            open_host(scene.home) as host,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(start_and_hear, host, hear)
            for step, item in enumerate("ab"):
                await until(partial(progress_tells, heard, f"step {step}: desk__look"))
                release(scene.home, item)
    numbers = [number for number, _ in heard]
    assert numbers == sorted(set(numbers)), "progress must increase"


def progress_tells(heard: list[tuple[float, str | None]], what: str) -> bool:
    """Whether a line of it says so."""
    return any(what in str(line) for _, line in heard)


async def start_and_hear(host: Host, hear: ProgressFnT) -> None:
    """Run a turn to its end, with progress."""
    ended = await host.call_with_progress(hear, "start_session", session_id="s1", message="hold both")
    assert ended["text"] == "Both seen."


async def test_a_servers_progress_is_passed_up_under_the_name_of_its_tool(tmp_path: Path) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    server = {"command": sys.executable, "args": ["-m", "tests.support.servers.sdk"], "cwd": str(ROOT)}
    home = Home(tmp_path, {"mcpServers": {"sdk": server}})
    with anyio.fail_after(30):
        async with open_host(home) as host, anyio.create_task_group() as tasks:
            start = partial(host.call_with_progress, hear, "start_session", session_id="s1")
            tasks.start_soon(partial(start, message="/call sdk__slow {}"))
            await until(partial(progress_tells, heard, "step 0: sdk__slow: 0/1 begun"))
            await host.call("cancel", session_id="s1")


async def test_no_progress_comes_unasked(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            await host.call("start_session", session_id="s1", message="two steps")
            assert b"notifications/progress" not in host.server.stdout


async def test_a_message_sent_while_a_turn_runs_joins_it(tmp_path: Path) -> None:
    joined: list[Json] = []
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            await host.call("start_session", session_id="s1", message="hold", wait_seconds=0)
            await until(lambda: work_done(scene.home) == ["look a"])
            held = await host.say("s1", "join me", wait_seconds=0)
            release(scene.home, "a")
            joined.append(await host.call("send_message", session_id="s1"))
    assert (held["status"], held["turn"], held["queued_messages"]) == ("running", 1, 1)
    assert (joined[0]["text"], joined[0]["turn"], joined[0]["queued_messages"]) == ("I read that too.", 1, 0)
    assert_said_once(scene, "join me")


def assert_said_once(scene: Scene, text: str) -> None:
    """The model's last request holds the message exactly once."""
    assert scene.model.requests[-1].body.count(text.encode()) == 1
