"""Results stay below their size, and what did not fit is whole in the summary. `Host.call` checks each size."""

import json
from pathlib import Path

import anyio
import pytest

from tests.support.host import Json, open_host
from tests.support.journey import call, calls, open_scene, says, transcript

pytestmark = pytest.mark.anyio

LONG = "".join(f'{n} "ä" \\ \n' for n in range(12_000))
ESCAPES = '"\\' * 15_000 + "\x01" * 5_000
BIG = "y" * 2_000
HUGE = "".join(f"line {n}\n" for n in range(20_000))
MANY_STEPS = [calls(*(call("put", item=f"{step}-{n}", pad=BIG) for n in range(20))) for step in range(10)]
RULES = {
    "long": [says(LONG)],
    "many": [*MANY_STEPS, says("Many done.")],
    "huge": [calls(call("book", item="h", pad=HUGE)), says("Booked.")],
    "escapes|Note from agent_mcp": [says(ESCAPES)],
    "title": [says("Noted.")],
    "result": [calls(call("give", characters=50_000)), says("Given.")],
}
ASKING = {"defaults": {"approvals": {"ask": ["desk__book"]}}}


def texts(entries: list[Json], kind: str, key: str) -> list[str]:
    """The texts of the entries of a kind, each put together again from its pieces."""
    whole: list[str] = []
    taking = False
    for entry in entries:
        if entry["type"] == kind:
            taking = True
            whole.append(entry[key])
        elif entry["type"] == "continued" and taking:
            whole[-1] += entry[key]
        else:
            taking = False
    return whole


async def test_a_long_answer_is_cut_and_whole_in_the_summary(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            ended = await host.call("start_session", session_id="s1", message="long")
            entries = await transcript(host, "s1")
    assert len(LONG) > 100_000
    assert LONG.startswith(ended["text"]) and len(ended["text"]) > 5_000
    assert ended["text_next_offset"] == len(ended["text"])
    assert texts(entries, "step", "text") == [LONG]


async def test_ten_steps_of_twenty_big_calls_fit_in_a_result(tmp_path: Path) -> None:
    with anyio.fail_after(50):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            ended = await host.call("start_session", session_id="s1", message="many")
            entries = await transcript(host, "s1")
    assert (ended["text"], ended["stop_reason"]) == ("Many done.", "end_turn")
    assert len(ended["steps"]) + ended["steps_omitted"] == 11
    arguments = [entry["arguments"] for entry in entries if entry["type"] == "tool_call"]
    assert arguments == [
        {"item": f"{step}-{n}", "pad": BIG} for step in range(10) for n in range(20)
    ]  # fmt: skip


async def test_an_approval_of_huge_arguments_can_be_read_whole_before_it_is_given(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES, config=ASKING) as scene, open_host(scene.home) as host:
            waiting = await host.call("start_session", session_id="s1", message="huge")
            entries = await transcript(host, "s1")
            (asked,) = waiting["approvals"]
            ended = await host.call("approve", session_id="s1", call_id=asked["call_id"], decision="allow")
    assert waiting["status"] == "needs_approval"
    assert "summary" in asked["arguments_omitted"]
    (arguments,) = texts(entries, "tool_call", "arguments_json")
    assert json.loads(arguments) == {"item": "h", "pad": HUGE}
    assert ended["text"] == "Booked."


async def test_a_long_tool_result_is_whole_in_the_summary(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            await host.call("start_session", session_id="s1", message="result")
            entries = await transcript(host, "s1")
    assert texts(entries, "tool_result", "result") == ["x" * 50_000]


async def test_a_text_that_grows_when_it_is_escaped_still_fits(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            ended = await host.call("start_session", session_id="s1", message="escapes")
            entries = await transcript(host, "s1")
    assert ESCAPES.startswith(ended["text"])
    assert texts(entries, "step", "text") == [ESCAPES]


async def test_a_page_of_a_hundred_sessions_fits(tmp_path: Path) -> None:
    found: list[str] = []
    ids = [f"{'s' * 60}-{n:03}" for n in range(100)]
    with anyio.fail_after(50):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            for session_id in ids:
                await host.call("start_session", session_id=session_id, message="title " * 50, wait_seconds=0)
            cursor: str | None = None
            while cursor is not None or not found:
                listed = await host.call("list_sessions", limit=100, cursor=cursor)
                found += [one["session_id"] for one in listed["sessions"]]
                cursor = listed["next_cursor"]
    assert sorted(found) == ids


async def test_a_summary_with_many_dead_servers_fits(tmp_path: Path) -> None:
    dead = {f"server-{n}": {"command": f"/nowhere/{'far/' * 60}{n}"} for n in range(60)}
    with anyio.fail_after(50):
        async with open_scene(tmp_path, RULES) as scene:
            scene.home.config["mcpServers"] |= dead
            async with open_host(scene.home) as host:
                ended = await host.call("start_session", session_id="s1", message="escapes")
                entries = await transcript(host, "s1")
    assert ended["stop_reason"] == "end_turn"
    assert texts(entries, "step", "text") == [ESCAPES]
