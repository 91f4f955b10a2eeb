"""The main job through the front door: two messages with parallel calls, in both eras, on each wire."""

import json
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from tests.support.host import API_KEY, Era, open_host
from tests.support.journey import (
    WIRES,
    Scene,
    WireName,
    call,
    calls,
    open_scene,
    says,
    transcript,
    work_done,
)
from tests.support.model_script import Fault
from tests.support.model_server import RecordedRequest

pytestmark = pytest.mark.anyio

RULES = {
    "first": [
        calls(call("look", item="a"), call("book", item="b"), text="Both at once."),
        says("It is done."),
    ],
    "second": [calls(call("look", item="c"), call("look", item="d")), says("You said: first task.")],
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_host_has_two_messages_answered_and_the_second_remembers_the_first(
    tmp_path: Path, era: Era, wire: WireName
) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES, wire=wire) as scene, open_host(scene.home, era) as host:
            first = await host.call("start_session", session_id="s1", message="first task")
            second = await host.say("s1", "second task")
            summary = await host.call("summary", session_id="s1")
            found = await host.call("list_sessions")
    assert (first["text"], first["stop_reason"], first["turn"]) == ("It is done.", "end_turn", 1)
    assert (second["text"], second["stop_reason"], second["turn"]) == ("You said: first task.", "end_turn", 2)
    assert [c["status"] for c in first["steps"][0]["tool_calls"]] == ["ok", "ok"]
    assert [step["step_number"] for step in second["steps"]] == [2, 3]
    assert sorted(work_done(scene.home)) == ["book b", "look a", "look c", "look d"]
    assert (summary["turns"], summary["steps"], summary["total_tool_calls"]) == (2, 4, 4)
    assert (summary["successful_tool_calls"], summary["is_complete"]) == (4, True)
    assert [one["session_id"] for one in found["sessions"]] == ["s1"]
    check_requests(scene)


def check_requests(scene: Scene) -> None:
    """The fake model refuses what is not valid; here: each request goes on from the one before, byte for byte."""
    requests = scene.model.requests
    assert len(requests) == 4
    for before, after in pairwise(requests):
        assert messages(after).startswith(messages(before)), f"{messages(before)}\n{messages(after)}"
        assert frozen(after) == frozen(before)
    assert b"first task" in messages(requests[2]) and b"look a: done" in messages(requests[2])


def messages(request: RecordedRequest) -> bytes:
    """The bytes of the conversation, without the bracket that closes it."""
    key = b'"input":' if request.path.endswith("responses") else b'"messages":'
    begin = request.body.index(key) + len(key)
    end = begin + json.JSONDecoder().raw_decode(request.body[begin:].decode())[1]
    return request.body[begin : end - 1]


def frozen(request: RecordedRequest) -> object:
    """What must stay as it is, for caches to hit."""
    body = request.json
    return [body.get(key) for key in ("model", "system", "instructions", "tools", "tool_choice")]


async def test_the_whole_transcript_is_in_the_summary(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            await host.call("start_session", session_id="s1", message="first task")
            entries = await transcript(host, "s1")
    assert [entry["type"] for entry in entries] == [
        "message", "step", "tool_call", "tool_result", "tool_call", "tool_result", "step", "turn_end",
    ]  # fmt: skip
    assert entries[3]["result"] == "look a: done"


@pytest.mark.parametrize("wire", WIRES)
async def test_a_key_that_the_provider_repeats_goes_no_further(tmp_path: Path, wire: WireName) -> None:
    told = Fault(kind="status", status=401, message=f"Incorrect API key provided: {API_KEY}.")
    with anyio.fail_after(30):
        async with open_scene(tmp_path, {"first": [says("", fault=told)]}, wire=wire) as scene:
            scene.home.environ["AGENT_MCP_LOG_LEVEL"] = "DEBUG"
            # `Host.call` looks for the key in the results, `open_host` in logs, store and stdout.
            async with open_host(scene.home, "auto", "--debug") as host:
                ended = await host.call("start_session", session_id="s1", message="first task")
                await transcript(host, "s1")
    assert ended["error"]["code"] == "MODEL_ERROR"
    assert "401" in ended["error"]["message"]
