"""One trace from the host to the downstream server, and figures to read: the real server, told by variables alone."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.support.collector import Collector, open_collector
from tests.support.host import Home, Json, until
from tests.support.http import Served, answer_of, modern_call, open_http
from tests.support.journey import raw

pytestmark = pytest.mark.anyio

HOSTS, HEADERS = "a" * 32, "c" * 32
IN_META = f"00-{HOSTS}-{'b' * 16}-01"
IN_HEADER = f"00-{HEADERS}-{'d' * 16}-01"
TOKEN = "t" * 32


@asynccontextmanager
async def looked_at(folder: Path, **environ: str) -> AsyncGenerator[tuple[Served, Collector]]:
    """A server over HTTP with a token, whose spans and figures go to a collector."""
    with open_collector() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
            **environ,
        }
        settings = {"metrics": True, "tokens": [{"name": "me", "token": TOKEN}]}
        home = Home(folder, {"mcpServers": {"raw": raw()}, "server": settings}, variables)
        with anyio.fail_after(60):
            async with open_http(home) as server:
                yield server, collector


async def start(server: Served, session_id: str, *, meta: Json, **headers: str) -> Json:
    """A turn that asks the downstream server what it was sent; its answer."""
    call = modern_call("start_session", session_id=session_id, message="/call raw__request {}")
    call["json"]["params"]["_meta"] |= meta
    async with server.raw(Authorization=f"Bearer {TOKEN}", **headers) as http:
        result = answer_of(await http.post("/mcp", **call))["result"]["structuredContent"]
    assert result["status"] == "idle", result
    (step,) = [step for step in result["steps"] if step["tool_calls"]]
    assert step["tool_calls"][0]["status"] == "ok"
    return result


async def test_one_trace_reaches_from_the_host_through_the_turn_to_the_downstream_server(
    tmp_path: Path,
) -> None:
    async with looked_at(tmp_path) as (server, collector):
        await start(
            server, "by-meta", meta={"traceparent": IN_META, "tracestate": "v=1"}, traceparent=IN_HEADER
        )
        await start(server, "by-header", meta={}, traceparent=IN_HEADER)
        await until(lambda: len(collector.named("invoke_agent")) == 2)
        await until(lambda: "gen_ai.execute_tool.duration" in collector.metrics)
        async with server.raw() as http:
            assert (await http.get("/metrics")).status_code == 401
        async with server.raw(Authorization=f"Bearer {TOKEN}") as http:
            page = await http.get("/metrics")
            assert (await http.post("/metrics")).status_code == 405
    first, second = collector.named("invoke_agent")
    assert (first.trace_id.hex(), second.trace_id.hex()) == (HOSTS, HEADERS)
    by_id = {span.span_id: span for span in collector.spans}
    request = by_id[first.parent_span_id]
    assert (request.name, request.parent_span_id.hex()) == ("tools/call start_session", "b" * 16)
    tools = collector.named("execute_tool raw__request")
    assert [by_id[tool.parent_span_id].name for tool in tools] == ["step 0", "step 0"]
    received = [sent_meta(tmp_path, name) for name in ("by-meta", "by-header")]
    assert [meta["traceparent"] for meta in received] == [
        f"00-{tool.trace_id.hex()}-{tool.span_id.hex()}-01" for tool in tools
    ]
    assert (received[0]["tracestate"], "tracestate" in received[1]) == ("v=1", False)
    assert collector.services == {"agent-mcp"}
    for line in (
        'gen_ai_execute_tool_duration_seconds_count{gen_ai_operation_name="execute_tool"',
        "agent_mcp_turns_running{",
        "agent_mcp_turns_queued{",
        "agent_mcp_log_events_total{",
        "agent_mcp_log_append_duration_seconds_bucket{",
        "gen_ai_client_token_usage",
    ):
        assert line in page.text, page.text
    assert "by-meta" not in page.text


def sent_meta(folder: Path, session_id: str) -> Json:
    """What the downstream server says it was sent along with its call."""
    events = [(kind, data) for session, _, _, kind, data in Home(folder).events() if session == session_id]
    (result,) = [data for kind, data in events if kind == "tool_result"]
    return json.loads(result["content"][0]["text"])["_meta"]
