"""`kill -9` in the middle of a turn, and what the next start makes of it; `test_crash_matrix` kills at every write."""

from pathlib import Path

import anyio
import pytest

from tests.support.host import Home, open_client, open_host, open_server, until
from tests.support.journey import call, calls, open_scene, release, says, work_done

pytestmark = pytest.mark.anyio

HELD = {
    "look": [calls(call("look", item="a", hold=True)), says("Seen.")],
    "book": [calls(call("look", item="a"), call("book", item="b", hold=True)), says("I had better check.")],
    "put": [calls(call("put", item="a", hold=True)), says("Put.")],
    "die": [calls(call("die")), says("never said")],
}


async def die_within_a_call(home: Home, message: str, *, begun: str, recorded: int = 0) -> None:
    """Start a session whose turn is in the middle of a call when the server is killed, with `recorded` results."""
    async with open_host(home) as host:
        started = await host.call("start_session", session_id="s1", message=message, wait_seconds=0)
        assert (started["status"], started["stop_reason"]) == ("running", None)
        await until(lambda: begun in work_done(home) and home.kinds().count("tool_result") == recorded)
        await host.server.kill()


async def test_a_read_only_call_is_run_again_after_a_kill_and_the_turn_completes(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, HELD) as scene:
            await die_within_a_call(scene.home, "look", begun="look a")
            release(scene.home, "a")
            async with open_host(scene.home) as host:
                ended = await host.call("send_message", session_id="s1")
    assert (ended["text"], ended["stop_reason"]) == ("Seen.", "end_turn")
    assert work_done(scene.home) == ["look a", "look a"]
    assert len(scene.model.requests) == 2, "the recorded reply must not be asked for again"


async def test_a_call_with_effects_is_not_repeated_and_the_model_is_told(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, HELD) as scene:
            await die_within_a_call(scene.home, "book", begun="book b", recorded=1)
            release(scene.home, "b")
            async with open_host(scene.home) as host:
                ended = await host.call("send_message", session_id="s1")
    assert ended["text"] == "I had better check."
    assert [c["status"] for c in ended["steps"][0]["tool_calls"]] == ["ok", "interrupted"]
    assert sorted(work_done(scene.home)) == ["book b", "look a"], (
        "neither the recorded nor the open one ran again"
    )
    assert b"INTERRUPTED" in scene.model.requests[-1].body


async def test_a_server_may_say_that_its_calls_can_be_repeated(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, HELD, interrupted="retry") as scene:
            await die_within_a_call(scene.home, "book", begun="book b", recorded=1)
            release(scene.home, "b")
            async with open_host(scene.home) as host:
                ended = await host.call("send_message", session_id="s1")
    assert [c["status"] for c in ended["steps"][0]["tool_calls"]] == ["ok", "ok"]
    assert sorted(work_done(scene.home)) == ["book b", "book b", "look a"]


@pytest.mark.parametrize(("decision", "times"), [("allow", 2), ("deny", 1)])
async def test_a_server_may_have_a_person_asked_whether_to_repeat(
    tmp_path: Path, decision: str, times: int
) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, HELD, interrupted="ask") as scene:
            await die_within_a_call(scene.home, "book", begun="book b", recorded=1)
            release(scene.home, "b")
            async with open_host(scene.home) as host:
                waiting = await host.call("send_message", session_id="s1")
                assert waiting["status"] == "needs_approval"
                (asked,) = waiting["approvals"]
                assert asked["name"] == "desk__book"
                answered = {"session_id": "s1", "call_id": asked["call_id"], "decision": decision}
                ended = await host.call("approve", **answered)
    assert ended["text"] == "I had better check."
    assert work_done(scene.home).count("book b") == times


async def test_a_turn_that_kills_its_process_is_given_up(tmp_path: Path) -> None:
    deaths = 0
    with anyio.fail_after(60):
        async with open_scene(tmp_path, HELD) as scene:
            async with open_server(scene.home) as server, open_client(server) as host:
                await host.call("start_session", session_id="s1", message="die", wait_seconds=0)
                await server.exit()
            while "turn_ended" not in scene.home.kinds() and deaths < 10:
                async with open_server(scene.home) as server:
                    await until(lambda: not server.alive or "turn_ended" in scene.home.kinds())
                    deaths += not server.alive
            async with open_host(scene.home) as host:
                ended = await host.call("send_message", session_id="s1")
    assert (ended["stop_reason"], ended["steps"][0]["tool_calls"][0]["status"]) == (
        "interrupted",
        "interrupted",
    )
    assert deaths == 3, "three starts found nothing new in the log"
    assert work_done(scene.home) == ["die"] * 4
