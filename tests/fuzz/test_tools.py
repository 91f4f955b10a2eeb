"""Odd arguments, tool definitions and tool results: each is refused with its place, or taken; nothing else happens."""

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from hypothesis import given, settings
from mcp_types import CallToolResult

from agent_mcp.agent.messages import ToolCall
from agent_mcp.config.blot import Blot
from agent_mcp.downstream.blotting import blotted_object
from agent_mcp.downstream.content import to_result
from agent_mcp.downstream.handshake import Channel
from agent_mcp.downstream.listing import fetch_listing
from agent_mcp.downstream.toolbox import Toolset
from agent_mcp.server.hosts import HostWait
from agent_mcp.server.results import RESULT_CHARACTERS
from agent_mcp.server.tools import Caller, PublishedTools
from agent_mcp.sessions.events import ToolFinished
from agent_mcp.sessions.transcript import result_text
from agent_mcp.store.codec import decode, encode
from tests.support.odd import SCALE, as_object, mutated, seeds
from tests.support.world import open_world

ARGUMENTS: dict[str, dict[str, Any]] = {
    "start_session": {
        "agent": "a",
        "message": "hi",
        "session_id": "s9",
        "model": "plan",
        "instructions": "be brief",
        "servers": ["t"],
        "tools": ["t__*"],
        "max_steps": 3,
        "budget": {"tokens": 100, "seconds": 5, "day": {"tool_calls": 3}},
        "wait_seconds": 0,
    },
    "send_message": {"session_id": "s1", "message": "more", "wait_seconds": 0},
    "summary": {"session_id": "s1", "detail": "full", "offset": 0, "limit": 5},
    "list_sessions": {"status": "idle", "query": "hi", "limit": 5, "cursor": "x"},
    "approve": {
        "session_id": "s1",
        "call_id": "call_1",
        "decision": "allow",
        "reason": "so",
        "wait_seconds": 0,
    },
    "cancel": {"session_id": "s2"},
    "fork_session": {"session_id": "s1", "at_step": 0},
    "close_session": {"session_id": "s3"},
}
CODES = {
    *(
        "SESSION_NOT_FOUND",
        "SESSION_EXISTS",
        "SESSION_CLOSED",
        "SESSION_BUSY",
        "AGENT_NOT_FOUND",
        "INVALID_ARGUMENT",
    ),
    *("BUDGET_EXCEEDED", "APPROVAL_NOT_FOUND"),
}
DEFINITIONS: list[dict[str, Any]] = [
    {
        "name": "get_page",
        "title": "A page",
        "description": "Gets a page",
        "inputSchema": {
            "type": "object",
            "properties": {
                "url": {"type": "string", "x-mcp-header": "Url"},
                "n": {"anyOf": [{"type": "integer"}]},
            },
            "required": ["url"],
            "$defs": {"x": {"$ref": "#/$defs/x"}},
        },
        "annotations": {"readOnlyHint": True, "destructiveHint": False, "title": "t"},
    },
    {
        "name": "send",
        "inputSchema": {"type": "object"},
        "outputSchema": {"type": "object"},
        "_meta": {"a": 1},
    },
]
ANSWER: dict[str, Any] = {
    "content": [
        {"type": "text", "text": "hello-secret", "annotations": {"audience": ["user"]}},
        {"type": "image", "data": "aGVsbG8tc2VjcmV0", "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "file:///a", "mimeType": "text/plain", "text": "x"}},
        {"type": "resource", "resource": {"uri": "file:///b", "blob": "aGVsbG8tc2VjcmV0"}},
        {"type": "resource_link", "uri": "file:///c", "name": "c", "size": 3, "description": "d"},
    ],
    "structuredContent": {"result": [1, {"a": "hello-secret"}]},
    "isError": False,
}
BLOT = Blot(["hello-secret"])
CALLER = Caller(HostWait(0.05), None)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_printed() -> Iterator[None]:
    """Nothing of all that follows writes to stdout, where MCP's messages go."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        yield
    assert printed.getvalue() == ""


async def _call(tools: PublishedTools, seed: int) -> None:
    random = Random(seed)
    name = random.choice(list(ARGUMENTS))
    given = mutated(ARGUMENTS[name], random)
    arguments: Mapping[str, Any] = as_object(given)
    # A caller can't know how long a wait may be here.
    waits = arguments.get("wait_seconds")
    capped = {**arguments, "wait_seconds": 0} if isinstance(waits, int | float) and waits > 0 else arguments
    with anyio.fail_after(5):
        result = await tools.call(name, capped, CALLER)
    assert isinstance(result, CallToolResult), seed
    text = result.model_dump_json()
    assert len(text) < RESULT_CHARACTERS, seed
    error = as_object(result.structured_content).get("error")
    assert error is None or (error["code"] in CODES and error["message"]), (seed, error)


@pytest.mark.anyio
async def test_odd_arguments(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    many = 2_000 * SCALE
    async with open_world(tmp_path) as world:
        tools = PublishedTools(world.service, feed=world.feed, clock=world.clock)
        for name in ("s1", "s2", "s3"):
            started = {"session_id": name, "message": "hi", "wait_seconds": 2}
            await tools.call("start_session", started, Caller(HostWait(2), None))
        for seed in range(many):
            await _call(tools, seed)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def _listed(random: Random) -> Any:
    return {"tools": mutated(DEFINITIONS, random, most=4)}


@settings(max_examples=20 * SCALE, deadline=None, database=None)
@given(seed=seeds)
def test_odd_tool_definitions(seed: int) -> None:
    async def list_all() -> None:
        random = Random(seed)
        for _ in range(100):
            await _list(_listed(random), random.choice(("legacy", "modern")))

    anyio.run(list_all)


async def _list(answer: Any, era: str) -> None:
    async def request(method: str, params: object) -> Any:
        return blotted_object(as_object(answer), BLOT)

    channel = cast("Channel", SimpleNamespace(era=era, capabilities={"tools": {}}, request=request))
    listing = await fetch_listing(channel, server="s", patterns=None, known=None)
    for tool in Toolset.of(listing.tools, listing.warnings).tools:
        assert 0 < len(tool.name) <= 64
        assert tool.name.replace("_", "").replace("-", "").isalnum()
        assert isinstance(tool.description, str)
        assert tool.input_schema.get("type") == "object"


@settings(max_examples=25 * SCALE, deadline=None, database=None)
@given(seed=seeds)
def test_odd_tool_results(seed: int) -> None:
    random = Random(seed)
    for _ in range(100):
        answer = mutated(ANSWER, random, most=5)
        result = to_result(ToolCall("c", "s__t", {}), blotted_object(as_object(answer), BLOT), duration_ms=1)
        stored = ToolFinished(
            result.call_id, result.content, result.is_error, result.code, result.duration_ms
        )
        encoded = encode(stored)
        encoded.text.encode()
        assert decode(encoded.kind, encoded.text) == encoded.data
        assert "hello-secret" not in result_text(result)
