"""Two servers on one store, as when a host starts its server twice."""

import signal
import time
from pathlib import Path

import anyio
import pytest

from tests.support.host import Home, Host, open_host, until
from tests.support.journey import call, calls, open_scene, release, says, work_done

pytestmark = pytest.mark.anyio

RULES = {
    "hold": [calls(call("look", item="a", hold=True)), says("Seen.")],
    "ask": [calls(call("book", item="b")), says("Booked.")],
    "think": [says("Thought.", delay_seconds=1.0)],
}
ASKING = {"defaults": {"approvals": {"ask": ["desk__book"]}}}


async def begin(host: Host, home: Home, message: str = "hold") -> None:
    """Have a turn run in this host's server, up to the middle of its call."""
    await host.call("start_session", session_id="s1", message=message, wait_seconds=0)
    await until(lambda: "look a" in work_done(home))


async def test_a_turn_of_one_server_is_fetched_from_the_other(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with (
            open_scene(tmp_path, RULES) as scene,
            open_host(scene.home) as one,
            open_host(scene.home) as other,
        ):
            await begin(one, scene.home)
            seen = await other.call("send_message", session_id="s1", wait_seconds=0)
            assert (seen["status"], seen["turn"]) == ("running", 1)
            release(scene.home, "a")
            ended = await other.call("send_message", session_id="s1")
            again = await one.call("send_message", session_id="s1")
    assert (ended["text"], again["text"]) == ("Seen.", "Seen.")
    assert work_done(scene.home) == ["look a"], "the other server must not run what is running"


async def test_a_cancel_in_one_server_stops_the_turn_of_the_other_at_once(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with (
            open_scene(tmp_path, RULES) as scene,
            open_host(scene.home) as one,
            open_host(scene.home) as other,
        ):
            await begin(one, scene.home)
            await other.call("list_sessions")
            began = time.monotonic()
            ended = await other.call("cancel", session_id="s1")
            took_seconds = time.monotonic() - began
            here = await one.call("send_message", session_id="s1")
    assert (ended["stop_reason"], ended["status"]) == ("cancelled", "idle")
    assert ended["steps"][0]["tool_calls"][0]["status"] == "interrupted"
    assert here["stop_reason"] == "cancelled"
    assert took_seconds < 2, "a machine at rest needs less than 0.3 s"


async def test_an_approval_in_one_server_lets_the_turn_of_the_other_go_on(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with (
            open_scene(tmp_path, RULES, config=ASKING) as scene,
            open_host(scene.home) as one,
            open_host(scene.home) as other,
        ):
            waiting = await one.call("start_session", session_id="s1", message="ask")
            assert waiting["status"] == "needs_approval"
            (asked,) = waiting["approvals"]
            answer = {"session_id": "s1", "call_id": asked["call_id"], "decision": "allow"}
            ended = await other.call("approve", **answer)
            repeated = await one.call("approve", **{**answer, "decision": "deny"})
    assert (ended["text"], ended["decision"]) == ("Booked.", "allow")
    assert (repeated["text"], repeated["decision"]) == ("Booked.", "allow"), "the first answer counts"
    assert work_done(scene.home) == ["book b"]


async def test_a_killed_servers_turn_goes_on_in_the_other_by_itself(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with (
            open_scene(tmp_path, RULES) as scene,
            open_host(scene.home) as one,
            open_host(scene.home) as other,
        ):
            await begin(one, scene.home)
            await other.call("list_sessions")
            release(scene.home, "a")
            await one.server.kill()
            killed = time.monotonic()
            await until(lambda: "turn_ended" in scene.home.kinds())
            took_seconds = time.monotonic() - killed
            ended = await other.call("send_message", session_id="s1")
    assert ended["text"] == "Seen."
    assert took_seconds < 6, "a machine at rest needs less than 2 s"


async def test_a_frozen_servers_turn_is_cancelled_from_the_other_and_stays_so(tmp_path: Path) -> None:
    with anyio.fail_after(40):
        async with (
            open_scene(tmp_path, RULES) as scene,
            open_host(scene.home) as one,
            open_host(scene.home) as other,
        ):
            await begin(one, scene.home)
            one.server.signal(signal.SIGSTOP)
            began = time.monotonic()
            ended = await other.call("cancel", session_id="s1")
            took_seconds = time.monotonic() - began
            log = scene.home.events()
            release(scene.home, "a")
            one.server.signal(signal.SIGCONT)
            # It answers, so it has been awake for a while.
            woken = await one.call("send_message", session_id="s1")
            follow_up = await one.say("s1", "think")
            assert scene.home.events()[: len(log)] == log
    assert (ended["stop_reason"], woken["stop_reason"]) == ("cancelled", "cancelled")
    assert took_seconds < 5.5
    assert follow_up["text"] == "Thought."
    kinds = [kind for _, _, turn, kind, _ in scene.home.events() if turn == 1]
    assert kinds.count("turn_ended") == 1 and kinds.count("tool_result") == 1
