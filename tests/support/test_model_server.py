"""The fake provider refuses what the real ones refuse; else a green test would prove nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.support.model_script import Answer, Fault, Rule, Script, script_of
from tests.support.model_server import open_model_server

pytestmark = pytest.mark.anyio

Message = dict[str, Any]

USER: Message = {"role": "user", "content": "hi"}
TOOL_USE: Message = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "t1", "name": "a", "input": {}}],
}
RESULT: Message = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}
CALL: Message = {"type": "function_call", "call_id": "c1", "name": "a", "arguments": "{}"}
REASONING: Message = {"type": "reasoning", "summary": []}
OUTPUT: Message = {"type": "function_call_output", "call_id": "c1", "output": "x"}
TOOL_CALL: Message = {"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}}
ASSISTANT: Message = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
TOOL: Message = {"role": "tool", "tool_call_id": "c1", "content": "x"}

PATHS = {"messages": "/messages", "responses": "/responses", "chat": "/chat/completions"}


def body(wire: str, *items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A request with these messages."""
    key = "input" if wire == "responses" else "messages"
    return {"model": "m", "stream": True, "max_tokens": 9, "store": False, key: list(items), **fields}


async def post(script: Script, wire: str, request: dict[str, Any]) -> httpx2.Response:
    """Its answer."""
    async with open_model_server(script) as server, httpx2.AsyncClient(base_url=server.openai_url) as client:
        return await client.post(PATHS[wire], json=request)


@pytest.mark.parametrize(
    ("wire", "items"),
    [
        ("messages", (USER, TOOL_USE, RESULT)),
        ("responses", (USER, CALL, OUTPUT)),
        ("chat", (USER, ASSISTANT, TOOL)),
    ],
)
async def test_a_valid_conversation_is_answered_as_a_stream(
    wire: str, items: tuple[dict[str, Any], ...]
) -> None:
    response = await post(script_of(), wire, body(wire, *items))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize(
    ("wire", "items", "reason"),
    [
        ("messages", (TOOL_USE, RESULT), "first message"),
        ("messages", (USER, TOOL_USE), "results right after"),
        ("messages", (USER, TOOL_USE, USER), "results right after"),
        ("messages", (USER, TOOL_USE, RESULT, RESULT), "without calls"),
        ("messages", (USER, TOOL_USE, RESULT, TOOL_USE, RESULT), "ids repeat"),
        ("messages", (USER, {"role": "assistant", "content": ""}), "non-empty"),
        ("messages", (USER, {"role": "tool", "content": "x"}), "unknown role"),
        ("responses", (USER, CALL), "results right after"),
        ("responses", (USER, OUTPUT), "without calls"),
        ("responses", (USER, {**CALL, "arguments": "{"}, OUTPUT), "invalid request"),
        ("responses", (USER, REASONING), "not stored"),
        ("chat", (USER, ASSISTANT), "results right after"),
        ("chat", (USER, TOOL), "without calls"),
        ("chat", (USER, {"role": "assistant", "content": None}), "neither content nor calls"),
        ("chat", (USER, {"role": "system", "content": "late"}), "system must come first"),
    ],
)
async def test_a_broken_conversation_is_refused_with_the_reason(
    wire: str, items: tuple[dict[str, Any], ...], reason: str
) -> None:
    response = await post(script_of(), wire, body(wire, *items))
    assert response.status_code == 400
    assert reason in response.text


async def test_a_tool_name_that_providers_refuse_is_refused() -> None:
    tools = [{"name": "a.b", "input_schema": {"type": "object"}}]
    assert "does not match" in (await post(script_of(), "messages", body("messages", USER, tools=tools))).text


async def test_a_rule_counts_from_the_last_user_text_and_answers_from_the_first() -> None:
    script = Script(answers=(Answer(text="one"),), rules=(Rule("weather", (Answer(text="sunny"),)),))
    assert (
        "sunny"
        in (await post(script, "messages", body("messages", {**USER, "content": "the weather?"}))).text
    )
    assert '"one"' in (await post(script, "messages", body("messages", USER))).text
    assert "Done." in (await post(script, "messages", body("messages", USER, TOOL_USE, RESULT))).text


async def test_a_fault_lasts_as_often_as_it_says_and_requests_are_recorded() -> None:
    script = script_of(Answer(text="x", fault=Fault(kind="status", status=529, retry_after="2", times=1)))
    async with open_model_server(script) as server, httpx2.AsyncClient(base_url=server.openai_url) as client:
        first = await client.post("/messages", json=body("messages", USER))
        second = await client.post("/messages", json=body("messages", USER))
        rows = (await client.get(f"{server.anthropic_url}/__requests")).json()
    assert (first.status_code, first.headers["retry-after"], second.status_code) == (529, "2", 200)
    assert [json.loads(row["body"])["model"] for row in rows] == ["m", "m"]


async def test_it_runs_as_a_process_with_a_script_file(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text(
        json.dumps({"answers": [{"text": "from the file", "calls": [{"name": "a"}]}]}), encoding="utf-8"
    )
    command = [sys.executable, "-m", "tests.support.model_server", "--script", str(file)]
    with anyio.fail_after(20):
        async with await anyio.open_process(command, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            port = json.loads(await process.stdout.receive())["port"]
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1") as client:
                assert "from the file" in (await client.post("/messages", json=body("messages", USER))).text
                assert (await client.get("/models")).json()["data"][0]["id"] == "fake-model"
            process.terminate()
