"""Approvals put to the person at the host within the call, in both eras; and hosts that can't or don't answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import pytest
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

from agent_mcp.config.schema import ServerSettings
from agent_mcp.server.app import build_server
from agent_mcp.server.tools import PublishedTools
from agent_mcp.sessions.profile import ApprovalRules, Profile
from tests.support.world import FunctionTools, World, calls, open_world, says

pytestmark = pytest.mark.anyio

Era = Literal["legacy", "auto"]
ASK = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(ask=("*",)))
PLAN = [calls(("t__echo", {"text": "one"}), ("t__echo", {"text": "two"})), says("done")]


async def echo(arguments: dict[str, Any]) -> str:
    return str(arguments["text"])


@asynccontextmanager
async def host(
    folder: Path, era: Era, asked: ElicitationFnT | None
) -> AsyncGenerator[tuple[World, Callable[..., Awaitable[CallToolResult]]]]:
    """A host in this process, with or without a way to ask its user."""
    with anyio.fail_after(15):
        async with open_world(folder, *PLAN, profile=ASK, tools=FunctionTools({"echo": echo})) as w:
            tools = PublishedTools(w.service, feed=w.feed, clock=w.clock)
            server = build_server(tools, settings=ServerSettings(wait_seconds=5), listed=lambda: None)
            async with Client(server, mode=era, elicitation_callback=asked) as client:

                async def call(name: str, **arguments: Any) -> CallToolResult:
                    return await client.call_tool(name, arguments)

                yield w, call


def answering(*answers: ElicitResult) -> tuple[list[ElicitRequestParams], ElicitationFnT]:
    """A user with prepared answers, and what they were asked."""
    seen: list[ElicitRequestParams] = []
    left = list(answers)

    async def asked(context: Any, params: ElicitRequestParams) -> ElicitResult:
        seen.append(params)
        return left.pop(0)

    return seen, asked


def content(result: CallToolResult) -> dict[str, Any]:
    return cast("dict[str, Any]", result.structured_content)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_several_calls_of_a_step_are_asked_for_together_with_their_arguments(
    tmp_path: Path, era: Era
) -> None:
    seen, user = answering(ElicitResult(action="accept", content={"call_1": "allow", "call_2": "deny"}))
    async with host(tmp_path, era, user) as (w, call):
        result = content(await call("start_session", message="go"))
    assert (result["status"], result["text"]) == ("idle", "done")
    assert [one["status"] for one in result["steps"][0]["tool_calls"]] == ["ok", "denied"]
    assert [arguments for _, arguments in w.tools.called] == [{"text": "one"}]
    assert len(seen) == 1
    for shown in ("echo on server t", '"text": "one"', '"text": "two"'):
        assert shown in seen[0].message


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_declining_denies_every_call(tmp_path: Path, era: Era) -> None:
    _, user = answering(ElicitResult(action="decline"))
    async with host(tmp_path, era, user) as (w, call):
        result = content(await call("start_session", message="go"))
    assert [one["status"] for one in result["steps"][0]["tool_calls"]] == ["denied", "denied"]
    assert (result["stop_reason"], w.tools.called) == ("end_turn", [])


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_dismissing_the_question_leaves_the_calls_waiting_for_approve(tmp_path: Path, era: Era) -> None:
    _, user = answering(ElicitResult(action="cancel"))
    async with host(tmp_path, era, user) as (w, call):
        result = content(await call("start_session", message="go"))
        assert (result["status"], len(result["approvals"])) == ("needs_approval", 2)
        for waiting in result["approvals"]:
            last = await call(
                "approve",
                session_id=result["session_id"],
                call_id=waiting["call_id"],
                decision="allow",
                wait_seconds=0,
            )
            assert not last.is_error
        sessions = (await w.service.list(status=None, query="", limit=9, cursor=None)).sessions
    assert len(sessions) == 1


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_host_that_cannot_ask_gets_the_approvals_in_the_result(tmp_path: Path, era: Era) -> None:
    async with host(tmp_path, era, None) as (_, call):
        result = content(await call("start_session", message="go"))
    assert (result["status"], len(result["approvals"])) == ("needs_approval", 2)


async def test_a_user_who_does_not_answer_in_time_leaves_the_calls_waiting(tmp_path: Path) -> None:
    async def thinking(context: Any, params: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    async with host(tmp_path, "legacy", thinking) as (_, call):
        result = content(await call("start_session", message="go", wait_seconds=0.3))
    assert result["status"] == "needs_approval"


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_call_that_does_not_wait_does_not_ask(tmp_path: Path, era: Era) -> None:
    seen, user = answering()
    async with host(tmp_path, era, user) as (_, call):
        result = content(await call("start_session", message="go", wait_seconds=0))
    assert (result["status"], seen) == ("running", [])


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_send_message_asks_too(tmp_path: Path, era: Era) -> None:
    _, user = answering(ElicitResult(action="accept", content={"call_1": "allow", "call_2": "allow"}))
    async with host(tmp_path, era, user) as (w, call):
        session_id = content(await call("start_session"))["session_id"]
        result = content(await call("send_message", session_id=session_id, message="go"))
    assert (result["text"], result["turn"], len(w.tools.called)) == ("done", 1, 2)
