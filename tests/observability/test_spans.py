"""Turns as traces, by the real runner, service and store."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from agent_mcp.agent.messages import ToolResult
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.errors import ModelError
from agent_mcp.observability.propagation import remote
from agent_mcp.observability.store import watched
from agent_mcp.sessions.start import StartRequest
from tests.observability.conftest import Seen
from tests.support.world import Function, FunctionTools, Plan, World, calls, open_world, says, until

pytestmark = pytest.mark.anyio

HOST = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}


@asynccontextmanager
async def open_seen(seen: Seen, folder: Path, *plan: Plan, **tools: Function) -> AsyncGenerator[World]:
    """A world that is looked at."""
    with anyio.fail_after(10):
        async with open_world(
            folder,
            *plan,
            tools=FunctionTools(tools),
            observer=seen.observer(),
            through=lambda store: watched(store, seen.instruments),
        ) as world:
            yield world


async def run(world: World, message: str = "hello", *, wait_seconds: float = 10) -> None:
    """A whole turn, called from within the host's trace."""
    token = context.attach(remote(HOST))
    try:
        await world.service.start(StartRequest(message=message), session_id="s1", wait_seconds=wait_seconds)
    finally:
        context.detach(token)


def parent_id(span: ReadableSpan) -> int | None:
    """Of the span above."""
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    """Of the span."""
    assert span.context is not None
    return span.context.span_id


async def answer(arguments: dict[str, Any]) -> str:
    """A tool's."""
    return "secret result"


async def test_a_turn_is_a_tree_of_spans_in_the_hosts_trace(seen: Seen, tmp_path: Path) -> None:
    plan = [calls(("t__look", {"q": "secret"}), text="secret words"), says("done")]
    async with open_seen(seen, tmp_path, *plan, look=answer) as world:
        await run(world, "secret question")
        await until(lambda: "invoke_agent a" in seen.spans)
    spans = seen.spans
    turn, first, second = spans["invoke_agent a"], spans["step 0"], spans["step 1"]
    tool = spans["execute_tool t__look"]
    chats = [span for span in seen.exporter.get_finished_spans() if span.name == "chat plan"]
    assert turn.context is not None and f"{turn.context.trace_id:032x}" == "a" * 32
    assert (parent_id(turn), parent_id(first), parent_id(second)) == (
        int("b" * 16, 16),
        id_of(turn),
        id_of(turn),
    )
    assert [parent_id(chat) for chat in chats] == [id_of(first), id_of(second)]
    assert parent_id(tool) == id_of(first)
    assert dict(turn.attributes or {}) | {"agent_mcp.claim": 1} == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "a",
        "gen_ai.conversation.id": "s1",
        "agent_mcp.turn": 1,
        "agent_mcp.claim": 1,
        "agent_mcp.stop_reason": "end_turn",
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
    }
    assert (chats[0].kind, tool.kind) == (trace.SpanKind.CLIENT, trace.SpanKind.INTERNAL)
    attributes = chats[0].attributes or {}
    assert attributes["gen_ai.request.model"] == attributes["gen_ai.response.model"] == "plan"
    assert attributes["gen_ai.response.finish_reasons"] == ("tool_use",)
    everything = "".join(span.to_json() for span in seen.exporter.get_finished_spans())
    assert "secret" not in everything


async def test_the_figures_say_what_happened_without_saying_in_which_session(
    seen: Seen, tmp_path: Path
) -> None:
    plan = [calls(("t__look", {}), ("t__none", {})), says("done")]
    async with open_seen(seen, tmp_path, *plan, look=answer) as world:
        await run(world)
        await until(lambda: "invoke_agent a" in seen.spans)
    figures = seen.figures
    model = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "planned",
        "gen_ai.request.model": "plan",
    }
    assert figures["gen_ai.client.operation.duration"] == [(model, 2)]
    assert [value for _, value in figures["gen_ai.client.token.usage"]] == [2, 2]
    tools = {a["gen_ai.tool.name"]: a.get("error.type") for a, _ in figures["gen_ai.execute_tool.duration"]}
    assert tools == {"t__look": None, "t__none": "TOOL_NOT_FOUND"}
    ((turn, count),) = figures["gen_ai.invoke_agent.duration"]
    assert (turn, count) == ({"gen_ai.agent.name": "a", "agent_mcp.stop_reason": "end_turn"}, 1)
    assert figures["agent_mcp.turns.running"] == [({}, 0)]
    assert figures["agent_mcp.log.events"][0][1] >= 7
    assert figures["agent_mcp.log.append.duration"][0][1] >= 5
    assert "s1" not in json.dumps(figures)


async def test_a_call_carries_its_own_span_downstream(seen: Seen, tmp_path: Path) -> None:
    carried = [dict[str, str]()]

    async def remember(arguments: dict[str, Any]) -> str:
        carried.append(dict(seen.observer().call_meta()))
        return "ok"

    async with open_seen(seen, tmp_path, calls(("t__look", {})), says("done"), look=remember) as world:
        await run(world)
    tool = seen.spans["execute_tool t__look"]
    assert carried[-1] == {
        "traceparent": f"00-{'a' * 32}-{id_of(tool):016x}-01",
        "tracestate": "vendor=1",
    }


async def test_a_turn_that_goes_on_elsewhere_stays_in_its_trace(seen: Seen, tmp_path: Path) -> None:
    async def hang(request: ModelRequest) -> Any:
        await anyio.sleep_forever()

    async with open_seen(seen, tmp_path, hang) as world:
        await run(world, wait_seconds=0)
        await until(lambda: bool(world.model.requests))
    assert "agent_mcp.stop_reason" not in (seen.spans["invoke_agent a"].attributes or {})
    seen.exporter.clear()
    async with open_seen(seen, tmp_path, says("done")) as world:
        await world.service.send("s1", None, wait_seconds=10)
        await until(lambda: "invoke_agent a" in seen.spans)
    turn = seen.spans["invoke_agent a"]
    assert turn.context is not None and f"{turn.context.trace_id:032x}" == "a" * 32
    assert (turn.attributes or {})["agent_mcp.claim"] == 2


async def test_errors_are_named_by_their_kind_alone(seen: Seen, tmp_path: Path) -> None:
    async def fails(arguments: dict[str, Any]) -> ToolResult:
        return ToolResult("", (), is_error=True)

    async def refuse(request: ModelRequest) -> Any:
        raise ModelError("the key sk-secret is wrong")

    async with open_seen(seen, tmp_path, calls(("t__look", {})), refuse, look=fails) as world:
        await run(world)
        await until(lambda: "invoke_agent a" in seen.spans)
    chat = [span for span in seen.exporter.get_finished_spans() if span.name == "chat plan"][-1]
    found = {
        span.name: (span.status.status_code, (span.attributes or {}).get("error.type"))
        for span in (chat, seen.spans["execute_tool t__look"], seen.spans["invoke_agent a"])
    }
    assert found == {
        "chat plan": (StatusCode.ERROR, "ModelError"),
        "execute_tool t__look": (StatusCode.ERROR, "TOOL_ERROR"),
        "invoke_agent a": (StatusCode.ERROR, "MODEL_ERROR"),
    }
    assert "sk-secret" not in "".join(span.to_json() for span in seen.exporter.get_finished_spans())


async def test_content_stands_in_spans_only_where_it_is_asked_for(seen: Seen, tmp_path: Path) -> None:
    plan = [calls(("t__look", {"q": "asked"}), text="said"), says("done")]
    with anyio.fail_after(10):
        async with open_world(
            tmp_path, *plan, tools=FunctionTools({"look": answer}), observer=seen.observer(with_content=True)
        ) as world:
            await run(world, "question")
            await until(lambda: "invoke_agent a" in seen.spans)
    first, second = [
        span.attributes or {} for span in seen.exporter.get_finished_spans() if "chat" in span.name
    ]
    tool = seen.spans["execute_tool t__look"].attributes or {}
    assert json.loads(str(first["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "question"}]}
    ]
    (message,) = json.loads(str(first["gen_ai.output.messages"]))
    assert [part["type"] for part in message["parts"]] == ["text", "tool_call"]
    assert (message["role"], message["finish_reason"]) == ("assistant", "tool_use")
    (response,) = json.loads(str(second["gen_ai.input.messages"]))
    assert (response["role"], response["parts"][0]["type"]) == ("tool", "tool_call_response")
    assert json.loads(str(tool["gen_ai.tool.call.arguments"])) == {"q": "asked"}
    assert "secret result" in str(tool["gen_ai.tool.call.result"])
