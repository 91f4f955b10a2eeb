"""A downstream server that asks in the middle of a call, and hosts of every kind on one running `agent-mcp`."""

import sys
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitRequestParams, ElicitResult

from tests.support.host import ROOT, Era, Home, Json
from tests.support.http import Served, open_http
from tests.support.modern import open_http_wire

pytestmark = pytest.mark.anyio

EACH: list[tuple[Era, str]] = [("legacy", "old"), ("legacy", "new"), ("auto", "old"), ("auto", "new")]
TASKS: Json = {"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}}


def shop(era: str) -> Json:
    """A real server that asks how many; it is to be told where it works."""
    command = {"command": sys.executable, "args": ["-m", "tests.support.servers.sdk"], "cwd": str(ROOT)}
    return {**command, "era": era, "sampling": True, "roots": [str(ROOT)]}


async def told(served: Served, era: Era, message: str) -> tuple[str, list[str]]:
    """What the agent says to a message at last, and what the user was asked meanwhile."""
    asked: list[str] = []

    async def user(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"n": 3})

    async with (
        httpx2.AsyncClient(timeout=60) as http,
        Client(
            streamable_http_client(served.address, http_client=http), mode=era, elicitation_callback=user
        ) as client,
    ):
        result = await client.call_tool("start_session", {"message": message})
    content = cast("Json", result.structured_content)
    assert content["stop_reason"] == "end_turn"
    assert "resent" not in content, "answering a question sends nothing again"
    return content["text"], asked


async def test_hosts_of_every_kind_answer_what_servers_of_every_kind_ask(tmp_path: Path) -> None:
    home = Home(tmp_path, {"mcpServers": {"old": shop("legacy"), "new": shop("modern")}})
    with anyio.fail_after(40):
        async with open_http(home) as served:
            for era, name in EACH:
                text, asked = await told(served, era, f"/call {name}__order {{}}")
                assert "accepted 3" in text
                assert asked == [f'The server "{name}" asks:\n\nhow many?']
            both, _ = await told(served, "auto", "/call old__where {}\n/call new__consult {}")
            assert ROOT.as_uri() in both
            assert "scripted: " in both
            await _answer_a_task(served)
    kinds = home.kinds()
    assert kinds.count("input_asked") == kinds.count("input_given") == len(EACH) + 1
    assert kinds.count("sampled") == 1


async def _answer_a_task(served: Served) -> None:
    """The same for a host that takes tasks."""
    async with open_http_wire(served, TASKS) as wire:

        async def get(task_id: str, *statuses: str) -> Json:
            while True:
                task = (await wire.request("tasks/get", taskId=task_id))["result"]
                if task["status"] in statuses:
                    return task
                await anyio.sleep(0.02)

        arguments = {"session_id": "task", "message": "/call old__order {}"}
        made = (await wire.request("tools/call", name="start_session", arguments=arguments))["result"]
        waiting = await get(made["taskId"], "input_required")
        [(key, request)] = waiting["inputRequests"].items()
        assert request["params"]["message"].endswith("how many?")
        answer = {key: {"action": "accept", "content": {"n": 5}}}
        await wire.request("tasks/update", taskId=made["taskId"], inputResponses=answer)
        over = await get(made["taskId"], "completed")
    assert "accepted 5" in over["result"]["structuredContent"]["text"]
