"""Approvals put to the person at the host within the call, in both eras; and hosts that can't or don't answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
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
from agent_mcp.server.tools import Notify, PublishedTools
from agent_mcp.sessions.events import ApprovalShown
from agent_mcp.sessions.log import CallState
from agent_mcp.sessions.profile import ApprovalRules, Profile
from tests.support.asking import start_answering
from tests.support.world import FunctionTools, World, calls, open_world, says

pytestmark = pytest.mark.anyio

Era = Literal["legacy", "auto"]
ASK = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(ask=("*",)))
PLAN = [calls(("t__echo", {"text": "one"}), ("t__echo", {"text": "two"})), says("done")]


async def echo(arguments: dict[str, Any]) -> str:
    return str(arguments["text"])


@asynccontextmanager
async def host(
    folder: Path, era: Era, asked: ElicitationFnT | None, on_desktop: Notify | None = None, **settings: Any
) -> AsyncGenerator[tuple[World, Callable[..., Awaitable[CallToolResult]]]]:
    """A host in this process, with or without a way to ask its user."""
    with anyio.fail_after(15):
        async with open_world(folder, *PLAN, profile=ASK, tools=FunctionTools({"echo": echo})) as w:
            tools = PublishedTools(w.service, feed=w.feed, clock=w.clock, waits=w.waits)
            server = build_server(
                tools,
                settings=ServerSettings(wait_seconds=5, **settings),
                listed=lambda: None,
                notify=on_desktop,
            )
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


async def test_an_answer_that_does_not_fit_the_protocol_leaves_the_calls_waiting(tmp_path: Path) -> None:
    with anyio.fail_after(15):
        async with open_world(tmp_path, *PLAN, profile=ASK, tools=FunctionTools({"echo": echo})) as w:
            tools = PublishedTools(w.service, feed=w.feed, clock=w.clock)
            server = build_server(tools, settings=ServerSettings(wait_seconds=5), listed=lambda: None)
            result = await start_answering(server, {"action": "accept", "content": {"call_1": {"deep": [1]}}})
    assert (result["status"], len(result["approvals"])) == ("needs_approval", 2)


async def test_a_user_who_does_not_answer_in_time_leaves_the_calls_waiting(tmp_path: Path) -> None:
    async def thinking(context: Any, params: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    async with host(tmp_path, "legacy", thinking) as (_, call):
        result = content(await call("start_session", message="go", wait_seconds=0.3))
    assert result["status"] == "needs_approval"


async def test_where_all_waiting_ends_a_question_that_is_asked_ends_too(tmp_path: Path) -> None:
    async def thinking(context: Any, params: ElicitRequestParams) -> ElicitResult:
        w.waits.end()
        await anyio.sleep_forever()
        raise AssertionError

    async with host(tmp_path, "legacy", thinking) as (w, call):
        result = content(await call("start_session", message="go", wait_seconds=60))
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


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_an_answer_for_the_session_covers_what_follows_and_not_what_the_same_form_denies(
    tmp_path: Path, era: Era
) -> None:
    said: dict[str, Any] = {"call_1": "allow this tool for this session", "call_2": "deny"}
    seen, user = answering(ElicitResult(action="accept", content=said))
    async with host(tmp_path, era, user) as (w, call):
        first = content(await call("start_session", message="go"))
        w.model.plan += [calls(("t__echo", {"text": "three"})), says("again")]
        second = content(await call("send_message", session_id=first["session_id"], message="more"))
    assert [one["status"] for one in first["steps"][0]["tool_calls"]] == ["ok", "denied"]
    assert (second["text"], len(seen)) == ("again", 1)
    assert [arguments for _, arguments in w.tools.called] == [{"text": "one"}, {"text": "three"}]
    assert "asked because of ask: *" in seen[0].message


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_that_a_question_was_dismissed_is_in_the_log(tmp_path: Path, era: Era) -> None:
    _, user = answering(ElicitResult(action="cancel"))
    async with host(tmp_path, era, user) as (w, call):
        result = content(await call("start_session", message="go"))
        events = [event.data for event in await w.store.read(result["session_id"])]
    shown = [data for data in events if isinstance(data, ApprovalShown) and data.dismissed]
    assert [data.call_id for data in shown] == [one["call_id"] for one in result["approvals"]]


async def test_that_a_person_was_asked_and_did_not_answer_is_in_the_log(tmp_path: Path) -> None:
    async def thinking(context: Any, params: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    async with host(tmp_path, "legacy", thinking) as (w, call):
        result = content(await call("start_session", message="go", wait_seconds=0.3))
        events = [event.data for event in await w.store.read(result["session_id"])]
    assert [data.dismissed for data in events if isinstance(data, ApprovalShown)] == [False, False]


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_where_approvals_are_answered_outside_no_host_is_asked_and_none_can_approve(
    tmp_path: Path, era: Era
) -> None:
    seen, user = answering()
    async with host(tmp_path, era, user, approvals="outside") as (w, call):
        result = content(await call("start_session", message="go"))
        call_id = result["approvals"][0]["call_id"]
        refused = await call("approve", session_id=result["session_id"], call_id=call_id, decision="allow")
        state = (await w.service.summary(result["session_id"])).state
    assert (result["status"], seen, w.tools.called) == ("needs_approval", [], [])
    assert "agent-mcp approvals allow CALL_ID" in result["next"]
    assert refused.is_error
    assert content(refused)["error"]["code"] == "APPROVAL_OUTSIDE"
    assert f"agent-mcp approvals allow {call_id}" in content(refused)["next"]
    assert state.calls[call_id].decision is None


async def test_only_what_nobody_could_be_asked_about_is_told_on_the_desktop(tmp_path: Path) -> None:
    told: list[str] = []

    def notify(waiting: Sequence[CallState]) -> None:
        told.extend(call.call.id for call in waiting)

    _, dismissing = answering(ElicitResult(action="cancel"))
    async with host(tmp_path / "asked", "legacy", dismissing, notify) as (_, call):
        await call("start_session", message="go")
    assert told == []
    async with host(tmp_path / "off", "legacy", None, notify, notify=False) as (_, call):
        await call("start_session", message="go")
    assert told == []
    async with host(tmp_path / "unasked", "legacy", None, notify) as (_, call):
        result = content(await call("start_session", message="go"))
    assert told == [one["call_id"] for one in result["approvals"]]


@pytest.mark.parametrize("scope", ["once", "session"])
async def test_approve_takes_how_far_it_reaches(tmp_path: Path, scope: str) -> None:
    async with host(tmp_path, "legacy", None) as (w, call):
        result = content(await call("start_session", message="go"))
        session_id, call_id = result["session_id"], result["approvals"][0]["call_id"]
        after = content(
            await call("approve", session_id=session_id, call_id=call_id, decision="allow", scope=scope)
        )
    assert result["approvals"][0]["rule"] == "ask: *"
    assert (after["status"], len(w.tools.called)) == (
        ("idle", 2) if scope == "session" else ("needs_approval", 1)
    )
