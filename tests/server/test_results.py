"""Results: one schema, both channels, a bounded size, and nothing lost for good."""

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp_types import CallToolResult

from agent_mcp.agent.messages import Reply, Text, ToolCall, ToolResult, Usage
from agent_mcp.errors import (
    AgentNotFoundError,
    InvalidArgumentError,
    MissingApiKeyError,
    PublicError,
    SessionClosedError,
    SessionNotFoundError,
    UnsupportedProviderError,
    session_not_found,
)
from agent_mcp.server.catalogue import published_tools
from agent_mcp.server.results import RESULT_CHARACTERS, error_result, summary_result, turn_result
from agent_mcp.sessions.events import (
    ApprovalAsked,
    Event,
    EventData,
    ModelReplied,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    UserMessageAdded,
)
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.ports import SessionRecord
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.reports import report_turn, summarize

SCHEMAS = {tool.name: tool.output_schema or {} for tool in published_tools()}


def valid(result: CallToolResult, tool: str) -> dict[str, Any]:
    """The structured content, checked against the tool's schema and the size that goes over the wire."""
    assert len(result.model_dump_json(by_alias=True, exclude_none=True)) < RESULT_CHARACTERS
    validator = cast("Any", Draft202012Validator(SCHEMAS[tool]))
    validator.validate(result.structured_content)
    return cast("dict[str, Any]", result.structured_content)


def folded(*events: EventData) -> SessionState:
    state = SessionState("s1")
    assert state.absorb(
        [Event(seq, 1, 1_700_000_000.0 + seq, data) for seq, data in enumerate(events, start=1)]
    )
    return state


def replied(step: int, text: str, calls: Sequence[ToolCall] = ()) -> ModelReplied:
    reply = Reply((Text(text), *calls), "tool_use" if calls else "end_turn", Usage(1, 2))
    return ModelReplied(step, reply.parts, reply.stop, reply.usage, read=1)


def checked(state: SessionState) -> dict[str, Any]:
    return valid(turn_result(report_turn(state, turn=state.turn)), "send_message")


def test_a_long_answer_is_cut_and_says_where_the_rest_begins() -> None:
    whole = "".join(f"line {number}\n" for number in range(20_000))
    state = folded(UserMessageAdded("hi"), replied(0, whole), TurnEnded("end_turn"))
    content = checked(state)
    assert whole.startswith(content["text"])
    assert content["text_next_offset"] == len(content["text"]) > 8_000
    assert read_text(state, "step") == whole


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200), st.integers(1, 400))
def test_no_answer_makes_a_result_too_large(text: str, times: int) -> None:
    whole = (text or "x") * times
    content = checked(folded(UserMessageAdded("hi"), replied(0, whole), TurnEnded("end_turn")))
    assert whole.startswith(content["text"])
    assert ("text_next_offset" in content) == (content["text"] != whole)


def test_many_steps_with_many_calls_fit() -> None:
    events: list[EventData] = [UserMessageAdded("hi")]
    for step in range(12):
        calls = [ToolCall(f"c{step}-{n}", f"t__{'n' * 55}", {"a": "\\" * 5_000}) for n in range(60)]
        events += [
            replied(step, "é" * 5_000, calls),
            *(ToolFinished(call.id, (Text("r"),)) for call in calls),
        ]
    content = checked(folded(*events, replied(12, "done"), TurnEnded("end_turn")))
    assert content["text"] == "done"
    assert content["steps"][-1]["step_number"] == 12
    assert content["steps_omitted"] + len(content["steps"]) == 13


@pytest.mark.parametrize(("count", "length", "shown"), [(60, 1, 60), (60, 200, 20), (150, 1, 20)])
def test_the_calls_of_a_step_are_shown_as_far_as_there_is_room(count: int, length: int, shown: int) -> None:
    calls = [ToolCall(f"c{n}", "t__x", {"a": "x" * length}) for n in range(count)]
    finished = [ToolFinished(call.id, (Text("r"),)) for call in calls]
    state = folded(UserMessageAdded("hi"), replied(0, "x" * 10_000, calls), *finished, TurnEnded("max_steps"))
    content = checked(state)
    [step] = content["steps"]
    assert [call["id"] for call in step["tool_calls"]] == [f"c{n}" for n in range(shown)]
    assert step.get("tool_calls_omitted", 0) == count - shown
    assert content["text"] == "x" * 10_000


def test_waiting_calls_are_shown_with_their_whole_arguments_in_both_channels() -> None:
    call = ToolCall("c1", "t__send", {"body": "x" * 3_000})
    state = folded(UserMessageAdded("hi"), replied(0, "", [call]), ApprovalAsked("c1", 1_700_000_000.0))
    content = checked(state)
    result = turn_result(report_turn(state, turn=state.turn))
    assert content["status"] == "needs_approval"
    assert content["approvals"][0]["arguments"] == call.arguments
    assert content["approvals"][0]["expires_at"] == "2023-11-14T22:13:20.000Z"
    assert "x" * 3_000 in result.content[0].model_dump()["text"]


def test_whole_arguments_of_waiting_calls_go_before_a_long_text() -> None:
    calls = [
        ToolCall(name, "t__send", {"body": '"x"' * times}) for name, times in [("c1", 100_000), ("c2", 1_500)]
    ]
    asked = [ApprovalAsked(call.id, 1_700_000_000.0) for call in calls]
    state = folded(UserMessageAdded("hi"), replied(0, "long " * 10_000, calls), *asked)
    content = checked(state)
    text = turn_result(report_turn(state, turn=state.turn)).content[0].model_dump()["text"]
    assert [one["arguments"] for one in content["approvals"]] == [None, calls[1].arguments]
    assert "c1 t__send Too long" in text and json.dumps(calls[1].arguments, separators=(",", ":")) in text
    assert 0 < content["text_next_offset"] == len(content["text"])


@pytest.mark.parametrize(("count", "shown"), [(45, 45), (300, 50)])
def test_of_many_waiting_calls_the_first_are_shown_whole(count: int, shown: int) -> None:
    calls = [ToolCall(f"c{n}", f"t__{'n' * 40}", {"a": "x" * 230}) for n in range(count)]
    asked = [ApprovalAsked(call.id, 1_700_000_000.0) for call in calls]
    content = checked(folded(UserMessageAdded("hi"), replied(0, "", calls), *asked))
    assert [one["call_id"] for one in content["approvals"]] == [f"c{n}" for n in range(shown)]
    assert content["approvals"][0]["arguments"] == calls[0].arguments


def test_arguments_too_large_to_show_are_found_whole_in_the_summary() -> None:
    calls = [ToolCall(f"c{n}", "t__send", {"body": f"{n}" * 100_000}) for n in range(3)]
    asked = [ApprovalAsked(call.id, 1_700_000_000.0) for call in calls]
    state = folded(UserMessageAdded("hi"), replied(0, "", calls), *asked)
    content = checked(state)
    assert [one["call_id"] for one in content["approvals"]] == ["c0", "c1", "c2"]
    assert all(
        one["arguments"] is None and "summary" in one["arguments_omitted"] for one in content["approvals"]
    )
    assert json.dumps(calls[1].arguments) in read_text(state, "arguments_json")


@pytest.mark.parametrize("detail", ["steps", "full"])
def test_a_transcript_comes_by_pages_that_fit(detail: str) -> None:
    events: list[EventData] = [UserMessageAdded("hello " * 20_000)]
    for step in range(30):
        call = ToolCall(f"c{step}", "t__get", {"path": f"/{step}"})
        result = ToolFinished(call.id, (Text(f"result {step} " * 300),), duration_ms=5)
        events += [replied(step, f"step {step}", [call]), ToolStarted(call.id, rerun=True), result]
    state = folded(*events, TurnEnded("error", "MODEL_ERROR", "boom", "wait"))
    entries = pages(state, detail)
    assert "".join(entry["text"] for entry in entries[:15]).startswith("hello " * 15_000)
    assert [entry["step_number"] for entry in entries if entry["type"] == "step"] == list(range(30))
    assert entries[-1]["error"] == "MODEL_ERROR: boom"
    if detail == "full":
        calls = [entry for entry in entries if entry["type"] == "tool_call"]
        results = [entry for entry in entries if entry["type"] == "tool_result"]
        assert [call["arguments"] for call in calls] == [{"path": f"/{step}"} for step in range(30)]
        assert results[29]["result"] == "result 29 " * 300


def pages(state: SessionState, detail: str) -> list[dict[str, Any]]:
    record = SessionRecord("s1", state.seq, Profile(model="m"), 0.0, 0.0)
    entries: list[dict[str, Any]] = []
    offset: int | None = 0
    while offset is not None:
        result = summary_result(summarize(record, state, []), detail=detail, offset=offset, limit=1000)
        content = valid(result, "summary")
        entries += content["transcript"]
        offset = content["next_offset"]
    return entries


def read_text(state: SessionState, key: str) -> str:
    wanted = "text" if key == "step" else key
    kept = [
        e
        for e in pages(state, "full")
        if wanted in e and e["type"] in (key, "continued", "tool_call", "step")
    ]
    return "".join(entry[wanted] for entry in kept if key != "step" or entry["type"] != "tool_call")


def test_a_refusal_has_the_schema_of_a_result() -> None:
    result = error_result(SessionNotFoundError("No session 'x'."), session_id="x", status=None)
    valid(result, "approve")
    assert result.is_error
    text = result.content[0].model_dump()["text"]
    assert text.startswith("SESSION_NOT_FOUND: No session 'x'.") and "session x" in text


def test_the_last_line_of_a_text_is_one_line_whatever_id_was_asked_for() -> None:
    result = error_result(InvalidArgumentError("session_id: wrong"), session_id="a\n[session b", status=None)
    text = result.content[0].model_dump()["text"]
    assert text.splitlines()[-1].startswith("[session a [session b; unknown; next: ")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (session_not_found("x"), "Call list_sessions"),
        (SessionClosedError("closed", hint="start a new one"), "Call summary"),
        (AgentNotFoundError("no agent", hint="known agents: desk"), "Call start_session"),
        (UnsupportedProviderError("no model", hint="a model is provider:model"), "Call start_session"),
        (MissingApiKeyError("no key", hint="set KEY"), "Set KEY."),
        (InvalidArgumentError("at_step: wrong"), "Mend the arguments and call again."),
    ],
)
def test_after_a_refusal_the_next_call_is_named(error: PublicError, said: str) -> None:
    content = error_result(error, session_id="x", status=None).structured_content
    assert content is not None and content["next"].startswith(said)


@pytest.mark.parametrize(
    ("code", "hint", "said"),
    [
        ("CONTEXT_OVERFLOW", "start a new session", "Call fork_session with an earlier step"),
        ("MODEL_ERROR", "", "Call send_message to try again"),
        ("MODEL_ERROR", "check the key in KEY", "Check the key in KEY; then call send_message to try again."),
        ("BUDGET_EXCEEDED", "Read what there is with summary.", "Read what there is with summary."),
    ],
)
def test_after_a_turn_that_failed_the_next_call_is_named(code: str, hint: str, said: str) -> None:
    content = checked(folded(UserMessageAdded("hi"), TurnEnded("error", code, "failed", hint)))
    assert content["next"].startswith(said)


def test_a_failed_tool_result_is_shown_with_its_status() -> None:
    call = ToolCall("c1", "t__x", None, raw_arguments="{broken")
    failed = ToolResult.failure(call, "TOOL_TIMEOUT", "after 60 s")
    finished = ToolFinished("c1", failed.content, failed.is_error, failed.code, 60_000)
    content = checked(folded(UserMessageAdded("hi"), replied(0, "", [call]), finished, TurnEnded("end_turn")))
    shown = content["steps"][0]["tool_calls"][0]
    assert (shown["status"], shown["arguments"], shown["duration_ms"]) == ("error", '"{broken"', 60_000)


def test_the_published_list_stays_within_its_price() -> None:
    tools = [tool.model_dump(by_alias=True, exclude_none=True) for tool in published_tools()]
    core = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    assert [tool["name"] for tool in tools] == [
        "start_session",
        "send_message",
        "summary",
        "list_sessions",
        "approve",
        "cancel",
        "fork_session",
        "close_session",
    ]
    assert len(json.dumps(core, separators=(",", ":"))) <= 6_000
    assert len(json.dumps(tools, separators=(",", ":"))) <= 12_000
    assert all(len(tool["description"]) < 600 for tool in tools)
