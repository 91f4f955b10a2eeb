"""What a downstream server asks, put to the person at the host in both eras; hosts that can't; other processes."""

import json
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
from agent_mcp.server import relaying
from agent_mcp.server.app import McpServer, build_server
from agent_mcp.server.tools import PublishedTools
from agent_mcp.sessions import answering
from agent_mcp.sessions.profile import Budget, Profile
from tests.support.asking import FORM, AskingTools, start_answering
from tests.support.world import World, calls, open_world, says, until

pytestmark = pytest.mark.anyio

Era = Literal["legacy", "auto"]
ERAS: list[Era] = ["legacy", "auto"]
Call = Callable[..., Awaitable[dict[str, Any]]]
ONE = [calls(("t__ask", {"text": "Which name?"})), says("done")]
NOTE = "Nobody could answer"


def server_of(w: World) -> McpServer:
    tools = PublishedTools(w.service, feed=w.feed, clock=w.clock)
    return build_server(tools, settings=ServerSettings(wait_seconds=8), listed=lambda: None)


@asynccontextmanager
async def host_of(w: World, era: Era, asked: ElicitationFnT | None) -> AsyncGenerator[Call]:
    """A host in this process, with or without a way to ask its user."""
    async with Client(server_of(w), mode=era, elicitation_callback=asked) as client:

        async def call(name: str, **arguments: Any) -> dict[str, Any]:
            result: CallToolResult = await client.call_tool(name, arguments)
            return cast("dict[str, Any]", result.structured_content)

        yield call


@asynccontextmanager
async def world(folder: Path, *plan: Any, profile: Profile | None = None) -> AsyncGenerator[World]:
    with anyio.fail_after(15):
        async with open_world(folder, *(plan or ONE), profile=profile, tools=AskingTools()) as w:
            yield w


def user(*answers: ElicitResult) -> tuple[list[ElicitRequestParams], ElicitationFnT]:
    """A user with prepared answers, and what they were asked."""
    seen: list[ElicitRequestParams] = []
    left = list(answers)

    async def asked(context: Any, params: ElicitRequestParams) -> ElicitResult:
        seen.append(params)
        return left.pop(0)

    return seen, asked


def accept(**content: str) -> ElicitResult:
    return ElicitResult(action="accept", content=dict(content))


def only_forms(ctx: object) -> relaying.Modes:
    """The SDK's own client always declares both."""
    return relaying.Modes(form=True)


def only_addresses(ctx: object) -> relaying.Modes:
    """As above."""
    return relaying.Modes(url=True)


async def never(context: Any, params: ElicitRequestParams) -> ElicitResult:
    await anyio.sleep_forever()
    raise AssertionError


async def said(w: World, session_id: str) -> list[dict[str, Any]]:
    """What the server was told, question by question."""
    state = await w.logs.state(session_id)
    return [json.loads(call.result.text) for call in state.calls.values() if call.result is not None]


def note_of(w: World) -> bool:
    """Whether the model was told that nobody could answer."""
    return any(NOTE in getattr(message, "text", "") for message in w.model.requests[-1].history)


async def asking(w: World, session_id: str) -> None:
    """Return once a question waits in the session."""
    while not (await w.logs.state(session_id)).turns or not (await w.logs.state(session_id)).turns[-1].inputs:
        await anyio.sleep(0.005)


@pytest.mark.parametrize("era", ERAS)
async def test_a_servers_question_is_answered_by_the_user_within_the_call(tmp_path: Path, era: Era) -> None:
    seen, asked = user(accept(name="Ada"))
    async with world(tmp_path) as w, host_of(w, era, asked) as call:
        result = await call("start_session", message="go")
        answers = await said(w, result["session_id"])
        noted = note_of(w)
    assert (result["status"], result["text"], result["turn"]) == ("idle", "done", 1)
    assert answers == [{"action": "accept", "content": {"name": "Ada", "size": "small"}}]
    assert len(w.tools.called) == len(seen) == 1
    assert seen[0].message == 'The server "t" asks:\n\nWhich name?'
    assert getattr(seen[0], "requested_schema", None) == FORM
    assert not noted


@pytest.mark.parametrize("era", ERAS)
async def test_several_questions_of_a_step_are_all_asked(tmp_path: Path, era: Era) -> None:
    plan = [calls(("t__ask", {"text": "One?"}), ("t__ask", {"text": "Two?"})), says("done")]
    seen, asked = user(accept(name="a"), accept(name="b"))
    async with world(tmp_path, *plan) as w, host_of(w, era, asked) as call:
        result = await call("start_session", message="go")
        answers = await said(w, result["session_id"])
    assert [answer["action"] for answer in answers] == ["accept", "accept"]
    assert {params.message.split("\n")[-1] for params in seen} == {"One?", "Two?"}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_who_says_no_is_believed(
    tmp_path: Path, era: Era, action: Literal["decline", "cancel"]
) -> None:
    _, asked = user(ElicitResult(action=action))
    async with world(tmp_path) as w, host_of(w, era, asked) as call:
        result = await call("start_session", message="go")
        answers = await said(w, result["session_id"])
        noted = note_of(w)
    assert answers == [{"action": action, "content": None}]
    assert not noted


async def test_an_answer_that_does_not_fit_the_protocol_counts_as_none(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        result = await start_answering(server_of(w), {"action": "banana"})
        answers = await said(w, result["session_id"])
        noted = note_of(w)
    assert (result["status"], result["text"], noted) == ("idle", "done", True)
    assert answers == [{"action": "cancel", "content": None}]


@pytest.mark.parametrize("era", ERAS)
async def test_where_the_host_cannot_ask_the_question_is_dismissed_and_the_model_told(
    tmp_path: Path, era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "GRACE_SECONDS", 0.05)
    async with world(tmp_path) as w, host_of(w, era, None) as call:
        result = await call("start_session", message="go")
        answers = await said(w, result["session_id"])
        noted = note_of(w)
    assert (result["text"], answers) == ("done", [{"action": "cancel", "content": None}])
    assert noted


@pytest.mark.parametrize("era", ERAS)
async def test_an_address_is_shown_only_by_hosts_that_open_addresses(
    tmp_path: Path, era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(relaying, "modes_of", only_forms)
    plan = [calls(("t__open", {"text": "Pay?"})), says("done")]
    seen, asked = user(accept())
    async with world(tmp_path, *plan) as w, host_of(w, era, asked) as call:
        result = await call("start_session", message="go")
        answers = await said(w, result["session_id"])
        monkeypatch.setattr(relaying, "modes_of", only_addresses)
        opened = await call("start_session", message="go")
        later = await said(w, opened["session_id"])
    assert answers == [{"action": "cancel", "content": None}]
    assert [answer["action"] for answer in later] == ["accept"]
    assert [getattr(params, "url", None) for params in seen] == ["https://example.org/pay"]


@pytest.mark.parametrize("era", ERAS)
async def test_another_process_that_can_ask_answers_for_a_host_that_cannot(
    tmp_path: Path, era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ElicitRequestParams] = []

    async def asked(context: Any, params: ElicitRequestParams) -> ElicitResult:
        seen.append(params)
        await anyio.sleep(2 * relaying.GRACE_SECONDS)
        return accept(name="Bo")

    monkeypatch.setattr(relaying, "GRACE_SECONDS", 0.4)
    results: list[dict[str, Any]] = []

    async def wait(call: Call, session_id: str) -> None:
        results.append(await call("send_message", session_id=session_id))

    async with (
        world(tmp_path) as w,
        open_world(tmp_path) as other,
        host_of(w, era, None) as mute,
        host_of(other, era, asked) as able,
    ):
        session_id = (await mute("start_session", message="go", wait_seconds=0))["session_id"]
        await asking(w, session_id)
        async with anyio.create_task_group() as group:
            # Both wait at once: the one that can't ask leaves it to the other.
            group.start_soon(wait, mute, session_id)
            group.start_soon(wait, able, session_id)
        answers = await said(w, session_id)
    assert [result["text"] for result in results] == ["done", "done"]
    assert [answer["content"]["name"] for answer in answers] == ["Bo"]
    assert len(seen) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_with_nobody_waiting_the_question_ends_at_its_deadline(
    tmp_path: Path, era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "INPUT_SECONDS", 0.2)
    async with world(tmp_path) as w, host_of(w, era, None) as call:
        session_id = (await call("start_session", message="go", wait_seconds=0))["session_id"]
        await until(lambda: len(w.model.requests) == 2)
        noted = note_of(w)
        answers = await said(w, session_id)
    assert answers == [{"action": "cancel", "content": None}]
    assert noted


async def test_a_user_who_does_not_answer_in_time_is_no_longer_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "INPUT_SECONDS", 0.3)
    async with world(tmp_path) as w, host_of(w, "legacy", never) as call:
        result = await call("start_session", message="go")
    assert (result["status"], result["text"]) == ("idle", "done")


async def test_a_call_that_does_not_wait_does_not_ask(tmp_path: Path) -> None:
    seen, asked = user(accept(name="Ada"))
    async with world(tmp_path) as w, host_of(w, "auto", asked) as call:
        session_id = (await call("start_session", message="go", wait_seconds=0))["session_id"]
        await asking(w, session_id)
        again = await call("send_message", session_id=session_id, wait_seconds=0)
        assert (again["status"], again["steps"][0]["tool_calls"][0]["status"]) == ("running", "waiting")
        assert not seen
        result = await call("send_message", session_id=session_id)
    assert (result["text"], len(seen)) == ("done", 1)


@pytest.mark.parametrize("era", ERAS)
async def test_a_cancel_ends_the_question_with_the_turn(tmp_path: Path, era: Era) -> None:
    results: list[dict[str, Any]] = []

    async def wait(call: Call, session_id: str) -> None:
        results.append(await call("send_message", session_id=session_id))

    async def cancel(call: Call, session_id: str) -> None:
        results.append(await call("cancel", session_id=session_id))

    async with world(tmp_path) as w, host_of(w, "legacy", never) as waiting, host_of(w, era, None) as call:
        session_id = (await call("start_session", message="go", wait_seconds=0))["session_id"]
        await asking(w, session_id)
        async with anyio.create_task_group() as group:
            group.start_soon(wait, waiting, session_id)
            group.start_soon(cancel, call, session_id)
        state = await w.logs.state(session_id)
    assert [result["stop_reason"] for result in results] == ["cancelled", "cancelled"]
    assert state.turns[0].inputs == []
    assert results[0]["steps"][0]["tool_calls"][0]["status"] == "interrupted"


async def test_waiting_for_a_person_costs_none_of_the_budget_of_time(tmp_path: Path) -> None:
    async def slow(context: Any, params: ElicitRequestParams) -> ElicitResult:
        await anyio.sleep(0.6)
        return accept(name="Ada")

    profile = Profile(agent="a", model="plan", servers=("t",), budget=Budget(seconds=0.4))
    async with world(tmp_path, profile=profile) as w, host_of(w, "legacy", slow) as call:
        result = await call("start_session", message="go")
    assert (result["stop_reason"], result["text"]) == ("end_turn", "done")


async def test_the_transcript_says_what_was_asked_and_how_it_ended_but_not_what_was_said(
    tmp_path: Path,
) -> None:
    _, asked = user(accept(name="Ada Lovelace"))
    async with world(tmp_path) as w, host_of(w, "auto", asked) as call:
        session_id = (await call("start_session", message="go"))["session_id"]
        steps = await call("summary", session_id=session_id, detail="steps")
    [shown] = next(entry for entry in steps["transcript"] if entry["type"] == "step")["tool_calls"]
    assert shown["questions"] == [{"server_name": "t", "message": "Which name?", "answer": "accept"}]
    assert "Ada Lovelace" not in json.dumps(shown)


async def test_an_error_within_a_waiting_call_is_still_told_as_it_is(tmp_path: Path) -> None:
    async with world(tmp_path) as w, host_of(w, "legacy", None) as call:
        refused = await call("send_message", session_id="nobody", message="x")
    assert refused["error"]["code"] == "SESSION_NOT_FOUND"
