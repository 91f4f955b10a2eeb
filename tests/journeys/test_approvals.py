"""A call that a person must allow first, across calls and restarts."""

from pathlib import Path

import anyio
import pytest

from tests.support.host import open_host
from tests.support.journey import call, calls, open_scene, says, work_done

pytestmark = pytest.mark.anyio

RULES = {"ask": [calls(call("book", item="b"), call("look", item="a")), says("Ready.")]}
ASKING = {"defaults": {"approvals": {"ask": ["desk__book"]}}}


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_an_approval_waits_through_a_kill_and_is_answered_in_the_next_server(
    tmp_path: Path, decision: str
) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES, config=ASKING) as scene:
            async with open_host(scene.home) as host:
                waiting = await host.call("start_session", session_id="s1", message="ask")
                await host.server.kill()
            async with open_host(scene.home) as host:
                again = await host.call("send_message", session_id="s1")
                held = await host.say("s1", "and another thing", wait_seconds=0)
                (asked,) = again["approvals"]
                answer = {"session_id": "s1", "call_id": asked["call_id"], "decision": decision}
                ended = await host.call("approve", **answer, reason="because")
    assert (waiting["status"], again["status"]) == ("needs_approval", "needs_approval")
    assert (asked["name"], asked["arguments"]) == ("desk__book", {"item": "b"})
    assert (held["queued_messages"], held["status"]) == (1, "needs_approval")
    statuses = {one["tool_name"]: one["status"] for one in ended["steps"][0]["tool_calls"]}
    assert statuses == {"book": "ok" if decision == "allow" else "denied", "look": "ok"}
    assert ("book b" in work_done(scene.home)) == (decision == "allow")
    assert (b"because" in scene.model.requests[-1].body) == (decision == "deny")


async def test_a_cancel_ends_a_waiting_approval(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES, config=ASKING) as scene, open_host(scene.home) as host:
            waiting = await host.call("start_session", session_id="s1", message="ask")
            ended = await host.call("cancel", session_id="s1")
            (asked,) = waiting["approvals"]
            late = await host.call("approve", session_id="s1", call_id=asked["call_id"], decision="allow")
            closed = await host.call("close_session", session_id="s1")
            refused = await host.say("s1", "more")
            unknown = await host.call("approve", session_id="s1", call_id="call_x", decision="allow")
    assert (ended["stop_reason"], ended["approvals"]) == ("cancelled", [])
    assert late["decision"] == "deny" and "ended before anybody answered" in late["warnings"][0]
    assert "book b" not in work_done(scene.home)
    assert (closed["status"], refused["error"]["code"]) == ("closed", "SESSION_CLOSED")
    assert unknown["error"]["code"] == "APPROVAL_NOT_FOUND"
