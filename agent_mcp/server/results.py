"""From reports to results: structured content for programs, text for hosts that show only text.

The answer stands in both. A result stays under `RESULT_CHARACTERS` as it goes over the wire; what had to be cut
is whole in `summary`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from mcp_types import CallToolResult, TextContent

from agent_mcp.agent.messages import Usage
from agent_mcp.errors import PublicError
from agent_mcp.server.next_calls import next_after_refusal, next_call
from agent_mcp.sessions.excerpt import read_page
from agent_mcp.sessions.log import CallState, SessionStatus, StepState
from agent_mcp.sessions.paging import SessionPage, write_cursor
from agent_mcp.sessions.ports import SessionListing
from agent_mcp.sessions.reports import Problem, SessionSummary, TurnReport
from agent_mcp.sessions.tool_ports import ServerStatus
from agent_mcp.sessions.transcript import Entry, as_markdown, call_view, cut, cut_to_json
from agent_mcp.sessions.veil import visible

RESULT_CHARACTERS = 32_000
"""A result as JSON is shorter than this."""
ENVELOPE_CHARACTERS = 500
"""Room for what the SDK adds to a result: in the newest protocol its type, and who the server is."""
STEP_TEXT_CHARACTERS = 300
RULE_CHARACTERS = 200
STEP_CALLS = 20
"""So many calls of a step are always shown, further ones up to `MOST_STEP_CALLS` where there is room."""
MOST_STEP_CALLS = 100
WARNINGS = 10
MOST_APPROVALS = 50
"""So many waiting calls are shown where there are too many; the others come when these are answered."""
APPROVALS_CHARACTERS = 24_000
"""Room for the whole arguments of waiting calls, in both channels together. They go before the text: who decides must
see them."""
SUMMARY_PAGE_CHARACTERS = 11_000
"""Room for a page of a transcript, once in each channel."""
SERVERS_CHARACTERS = 4_000
"""Room in a summary for what is wrong with all its servers."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a call waited for its turn at the most, and why."""

    seconds: float
    asked_seconds: float | None = None
    cap_seconds: float | None = None
    """The host's own limit, where it has one that nobody can change."""


def turn_result(report: TurnReport, *, waits: Waits | None = None, outside: bool = False) -> CallToolResult:
    """What all tools but `summary` and `list_sessions` return. `outside`: approvals are not answered by hosts."""
    approvals = _approvals(report.approvals)
    content: Json = {
        "session_id": report.session_id,
        "status": report.status,
        "turn": report.turn,
        "text": report.text,
        "stop_reason": report.stop_reason,
        "steps": [_step(step) for step in report.steps],
        "steps_omitted": report.steps_omitted,
        "usage": usage_view(report.usage),
        "approvals": approvals,
        "queued_messages": report.queued_messages,
        "warnings": [cut(warning, 500) for warning in report.warnings[:WARNINGS]],
        "error": _error(report.problem),
        "next": next_call(report, outside=outside),
    }
    content |= {
        key: value
        for key, value in (
            ("resent", report.resent or None),
            ("forked_from", report.forked_from),
            ("decision", report.decision),
            ("waited_seconds", waits and waits.seconds),
            ("wait_asked_seconds", waits and waits.asked_seconds),
            ("wait_cap_seconds", waits and waits.cap_seconds),
        )
        if value is not None
    }
    return _fitted(content)


def error_result(
    error: PublicError, *, session_id: str | None, status: SessionStatus | None
) -> CallToolResult:
    """A refusal by a turn's tool, in that tool's own schema; nothing was changed."""
    content: Json = {
        "session_id": session_id,
        "status": status,
        "turn": 0,
        "text": "",
        "stop_reason": None,
        "steps": [],
        "steps_omitted": 0,
        "usage": usage_view(Usage()),
        "approvals": [],
        "queued_messages": 0,
        "warnings": [],
        "error": _error(Problem(error.code, error.message, error.hint)),
        "next": next_after_refusal(error.code, error.hint),
    }
    return _fitted(content)


def bare_error(error: PublicError, **fields: object) -> CallToolResult:
    """A refusal by `summary` or `list_sessions`."""
    problem = _error(Problem(error.code, error.message, error.hint))
    return _result({**fields, "error": problem}, _error_line(problem), is_error=True)


def usage_view(usage: Usage) -> Json:
    """As hosts read it; tokens, and USD or null."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cost_usd": usage.cost_usd,
    }


def _step(step: StepState) -> Json:
    view: Json = {
        "step_number": step.number,
        "text": cut(step.reply.text, STEP_TEXT_CHARACTERS),
        "tool_calls": [call_view(call, whole=False) for call in step.calls[:MOST_STEP_CALLS]],
    }
    if len(step.calls) > MOST_STEP_CALLS:
        view["tool_calls_omitted"] = len(step.calls) - MOST_STEP_CALLS
    return view


def _approvals(calls: Sequence[CallState]) -> list[Json]:
    views: list[Json] = []
    room = APPROVALS_CHARACTERS
    for call in calls:
        assert call.asked is not None
        view: Json = {
            "call_id": call.call.id,
            "name": call.call.name,
            "arguments": call.veiled.arguments,
            "expires_at": timestamp(call.asked.expires_at),
        }
        if call.rule:
            view["rule"] = cut(call.rule, RULE_CHARACTERS)
        arguments = _json(view["arguments"])
        size = len(arguments) + len(_json(arguments))
        fits = size <= room
        views.append(view if fits else _without_arguments(view))
        room -= size if fits else 0
    return views


def _without_arguments(approval: Json) -> Json:
    """Too large for a result: a person must still be able to read all of it before deciding."""
    reason = "Too long for this result: read them with summary, detail full."
    return {**approval, "arguments": None, "arguments_omitted": reason}


def _error(problem: Problem | None) -> Json | None:
    if problem is None:
        return None
    return {"code": problem.code, "message": cut(problem.message, 2_000), "hint": cut(problem.hint, 500)}


def _error_line(error: Json | None) -> str:
    if error is None:
        return ""
    return f"{error['code']}: {error['message']}" + (f" ({error['hint']})" if error["hint"] else "")


def _fitted(content: Json) -> CallToolResult:
    """The result, with steps and then the text cut until it fits."""
    whole = str(content["text"])
    # No more of it can fit, and measuring megabytes would hold up every session.
    content["text"] = whole[:RESULT_CHARACTERS]
    result = _turn_result(content)
    while (size := _size(result)) >= RESULT_CHARACTERS:
        if len(content["steps"]) > bool(content["text"]):
            dropped = max(1, len(content["steps"]) // 2)
            content["steps"] = content["steps"][dropped:]
            content["steps_omitted"] += dropped
        elif any(len(step["tool_calls"]) > STEP_CALLS for step in content["steps"]):
            content["steps"] = [_thinned(step) for step in content["steps"]]
        elif content["text"]:
            # The text stands in both channels, and escapes can make a character six.
            kept = min(len(content["text"]) - 1, int(len(content["text"]) * RESULT_CHARACTERS / size * 0.95))
            content["text"] = whole[:kept]
            content["text_next_offset"] = kept
        elif (fewer := _less_of(content["approvals"])) != content["approvals"]:
            content["approvals"] = fewer
        else:
            content["warnings"] = content["warnings"][:3]
            return _turn_result(content)
        result = _turn_result(content)
    return result


def _less_of(approvals: list[Json]) -> list[Json]:
    """The first ones alone, then without the arguments of the later half of those that show them."""
    if len(approvals) > MOST_APPROVALS:
        return approvals[:MOST_APPROVALS]
    whole = [index for index, one in enumerate(approvals) if "arguments_omitted" not in one]
    dropped = set(whole[len(whole) // 2 :])
    return [_without_arguments(one) if index in dropped else one for index, one in enumerate(approvals)]


def _thinned(step: Json) -> Json:
    shown = step["tool_calls"][:STEP_CALLS]
    omitted = len(step["tool_calls"]) - len(shown) + step.get("tool_calls_omitted", 0)
    return {**step, "tool_calls": shown, "tool_calls_omitted": omitted} if omitted else step


def _turn_result(content: Json) -> CallToolResult:
    parts = [content["text"]]
    if "text_next_offset" in content:
        parts.append(
            f"[cut at character {content['text_next_offset']}; the whole text: summary with detail full]"
        )
    parts.append(_error_line(content["error"]))
    parts += [
        f"Waiting for approval: {one['call_id']} {one['name']} "
        f"{one.get('arguments_omitted') or visible(_json(one['arguments']))}{_why(one)}"
        for one in content["approvals"]
    ]
    parts += [f"Warning: {cut(warning, 300)}" for warning in content["warnings"][:3]]
    parts.append(_last_line(content))
    error = content["error"]
    if error is not None and not content["turn"]:
        parts = [_error_line(error), parts[-1]]
    return _result(content, "\n\n".join(part for part in parts if part), is_error=error is not None)


def _why(approval: Json) -> str:
    return f" (asked because of {approval['rule']})" if "rule" in approval else ""


def _last_line(content: Json) -> str:
    """Session, status and next call; how the turn ended, if not by an answer."""
    if content["session_id"] is None:
        return f"[no session; next: {content['next']}]"
    stop = content["stop_reason"]
    ended = f"; ended: {stop}" if stop not in (None, "end_turn") else ""
    status = content["status"] or "unknown"
    line = f"[session {content['session_id']}; {status}{ended}; next: {content['next']}]"
    # An id that is none may hold line breaks.
    return " ".join(line.split())


def _result(content: Json, text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=content, is_error=is_error
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _size(result: CallToolResult) -> int:
    return len(result.model_dump_json(by_alias=True, exclude_unset=True)) + ENVELOPE_CHARACTERS


def timestamp(seconds: float) -> str:
    """ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def summary_result(summary: SessionSummary, *, detail: str, offset: int, limit: int) -> CallToolResult:
    """What `summary` returns."""
    record, servers = summary.record, summary.servers[:50]
    content: Json = {
        "session_id": record.id,
        "agent": record.profile.agent,
        "model": record.profile.model,
        "status": summary.status,
        "turns": summary.turns,
        "steps": summary.steps,
        "messages": summary.messages,
        "total_tool_calls": summary.total_tool_calls,
        "successful_tool_calls": summary.successful_tool_calls,
        "failed_tool_calls": summary.failed_tool_calls,
        "is_complete": summary.is_complete,
        "max_steps": record.profile.max_steps,
        "usage": usage_view(summary.usage),
        "servers": [_server(server, min(200, SERVERS_CHARACTERS // len(servers))) for server in servers],
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(summary.updated_at),
        "forked_from": record.forked_from,
        "last_text": cut_to_json(summary.last_text, 2_000),
        "error": _error(summary.problem),
    }
    if detail == "steps" or detail == "full":
        return _with_transcript(content, partial(read_page, summary.state, detail, offset=offset), limit)
    return _result(content, _summary_text(content))


class _ReadPage(Protocol):
    """A page of a transcript, of which it is known where it begins."""

    def __call__(self, *, limit: int, characters: int) -> tuple[list[Entry], int | None]: ...


def _with_transcript(content: Json, read: _ReadPage, limit: int) -> CallToolResult:
    """The summary with as long a page of the transcript as fits beside its figures, in both channels."""
    while True:
        shown, after = read(limit=limit, characters=SUMMARY_PAGE_CHARACTERS)
        more = f"\n\n[more: summary with offset {after}]" if after is not None else ""
        text = f"{_summary_text(content)}\n\n{as_markdown(shown)}{more}"
        result = _result({**content, "transcript": shown, "next_offset": after}, text)
        if _size(result) < RESULT_CHARACTERS or len(shown) <= 1:
            return result
        limit = len(shown) // 2


def _server(server: ServerStatus, error_characters: int) -> Json:
    return {
        "name": server.name,
        "connected": server.connected,
        "tools": server.tools,
        "error": cut(server.error, error_characters) if server.error else None,
    }


def _summary_text(content: Json) -> str:
    cost = content["usage"]["cost_usd"]
    price = "unknown cost" if cost is None else f"{cost:.4f} USD"
    usage = f"{content['usage']['input_tokens']} tokens in, {content['usage']['output_tokens']} out, {price}"
    figures = (
        f"Session {content['session_id']} ({content['agent'] or 'no named agent'}, {content['model']}): "
        f"{content['status']}, {content['turns']} turns, {content['steps']} steps, {content['messages']} messages, "
        f"{content['successful_tool_calls']} of {content['total_tool_calls']} tool calls succeeded, {usage}."
    )
    return "\n\n".join(
        part for part in (content["last_text"], _error_line(content["error"]), figures) if part
    )


def sessions_result(found: SessionPage) -> CallToolResult:
    """What `list_sessions` returns: the page, or as much of it as fits."""
    shown = found.sessions
    result = _sessions_result(shown, found.next_cursor)
    while _size(result) >= RESULT_CHARACTERS:
        shown = shown[: len(shown) * 9 // 10]
        result = _sessions_result(shown, write_cursor(shown[-1][0]))
    return result


def _sessions_result(
    shown: Sequence[tuple[SessionListing, SessionStatus]], next_cursor: str | None
) -> CallToolResult:
    sessions = [
        {
            "session_id": line.id,
            "agent": line.agent,
            "status": status,
            "turns": line.turns,
            "title": line.title,
            "updated_at": timestamp(line.updated_at),
        }
        for line, status in shown
    ]
    lines = [
        f"{one['session_id']}  {one['status']}  {one['turns']} turns  {one['updated_at']}  {one['title']}"
        for one in sessions
    ]
    content = {"sessions": sessions, "next_cursor": next_cursor, "error": None}
    return _result(content, "\n".join(lines) or "No sessions.")
