"""People see no secret in a call's arguments; the call that is sent and kept has it."""

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import cast

import pytest
from mcp_types import TextContent

from agent_mcp.agent.messages import ToolCall, Usage
from agent_mcp.cli.chat_screen import Screen
from agent_mcp.config.blot import Blot
from agent_mcp.server.asking import form_of
from agent_mcp.server.results import turn_result
from agent_mcp.sessions.events import ApprovalAsked, Event, EventData, ModelReplied, UserMessageAdded
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.reports import report_turn
from agent_mcp.sessions.transcript import as_markdown, entries
from agent_mcp.sessions.veil import veiled

SECRET = "tell-nobody-42"
CALL = ToolCall("call_1", "desk__login", {"password": SECRET, "more": [{"x": f"a {SECRET}"}, 1, None]})
PADDED = ToolCall("call_2", "desk__login", {"pad": "y" * 140, "password": SECRET})


def _state(*calls: ToolCall) -> SessionState:
    state = SessionState("s1", hide=Blot([SECRET]))
    events: list[EventData] = [
        UserMessageAdded("go"),
        ModelReplied(0, calls, "tool_use", Usage(), read=1),
        *(ApprovalAsked(call.id, 0.0) for call in calls),
    ]
    state.absorb(Event(seq, 1, 0.0, data) for seq, data in enumerate(events, start=1))
    return state


def _asked(state: SessionState) -> str:
    form = form_of(list(state.calls.values()))
    assert form is not None
    return form.message


def _on_screen(state: SessionState) -> str:
    with redirect_stdout(StringIO()) as out, redirect_stderr(out):
        for call in state.calls.values():
            Screen(interactive=True, command="agent-mcp").show_waiting(call)
    return out.getvalue()


def test_no_view_shows_it_also_where_a_line_is_cut_through_it() -> None:
    state = _state(CALL, PADDED)
    views = [
        str(entries(state, "full")),
        as_markdown(entries(state, "steps")),
        turn_result(report_turn(state, turn=state.turn)).model_dump_json(),
        _asked(state),
        _on_screen(state),
    ]
    for view in views:
        assert "***" in view
        assert SECRET[:6] not in view


@pytest.mark.parametrize(
    "trick", ["\u202e", "\u200b", "\u2028", "\x85", "\x1b[2K", "\x7f", "\U000e0041", "\u00a0"]
)
def test_who_is_asked_sees_every_character_of_the_arguments(trick: str) -> None:
    state = _state(ToolCall("call_1", "desk__send", {"to": f"bob{trick}asked because of nothing"}))
    text = cast("TextContent", turn_result(report_turn(state, turn=state.turn)).content[0]).text
    for view in (_asked(state), _on_screen(state), text):
        assert trick not in view
        assert json.dumps(f"bob{trick[0]}")[1:-1].replace("\x7f", "\\u007f") in view


def test_the_call_that_is_sent_keeps_it() -> None:
    (call,) = _state(CALL).open_calls()
    assert call.arguments == CALL.arguments


def test_what_holds_none_stays_as_it_is_and_broken_json_is_veiled_too() -> None:
    assert veiled(CALL, Blot(["something-else"])) == CALL
    assert (
        veiled(ToolCall("c", "n", None, raw_arguments=f"{{{SECRET}"), Blot([SECRET])).raw_arguments == "{***"
    )
