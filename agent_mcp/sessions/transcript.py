"""A session as people read it: entries in the order in which the model met them, and pages of them.

An entry is a plain JSON object. A text too long for one goes on in further entries of the type `continued`, so
that every page stays small and nothing is left out.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from agent_mcp.agent.messages import Media, Message, Reply, Text, ToolResult, UserMessage
from agent_mcp.sessions.answers import in_words
from agent_mcp.sessions.inputs import InputState
from agent_mcp.sessions.log import CallState, SessionState, StepState

Detail = Literal["steps", "full"]
Entry = dict[str, Any]

CHUNK_CHARACTERS = 6_000
"""The longest text in one entry of a transcript, as JSON, where a character may take six."""
SHOWN_QUESTIONS = 3
"""So many of the questions of a call's server are shown, the last ones."""
CALLS_IN_ENTRY = 8
"""So many of a step's calls stand in one entry; further ones go on in entries of the type `continued`."""
LINE_CHARACTERS = 160
"""What `arguments` and results are cut to where only a line is wanted."""


def entries(state: SessionState, detail: Detail) -> list[Entry]:
    """The whole transcript; `full` has whole arguments and results, `steps` a line of each."""
    result: list[Entry] = []
    step = 0
    for message in [*state.history, *(unread.message for unread in state.unread)]:
        result.extend(message_entries(state, message, step, detail))
        step += isinstance(message, Reply)
    return result


def message_entries(state: SessionState, message: Message, step: int, detail: Detail) -> list[Entry]:
    """The entries of one message, before which stand so many steps."""
    if isinstance(message, Reply):
        made = state.steps[step]
        return [*_step_entries(made, detail), *_end_entry(state, made)]
    return list(_message_entries(message))


def _message_entries(message: Message) -> Iterator[Entry]:
    if isinstance(message, UserMessage):
        yield from _split({"type": "note" if message.note else "message"}, "text", message.text)


def _step_entries(step: StepState, detail: Detail) -> Iterator[Entry]:
    calls = [call_view(call, whole=detail == "full") for call in step.calls]
    head: Entry = {"type": "step", "step_number": step.number, "turn": step.turn}
    first, *rest = _split(head, "text", step.reply.text)
    yield {**first, "tool_calls": [] if detail == "full" else calls[:CALLS_IN_ENTRY]}
    yield from rest
    if detail == "full":
        for call, view in zip(step.calls, calls, strict=True):
            yield from _call_entries(call, view)
    else:
        for start in range(CALLS_IN_ENTRY, len(calls), CALLS_IN_ENTRY):
            yield {"type": "continued", "tool_calls": calls[start : start + CALLS_IN_ENTRY]}


def _call_entries(call: CallState, view: Entry) -> Iterator[Entry]:
    arguments = json.dumps(view["arguments"], ensure_ascii=False)
    head: Entry = {"type": "tool_call", **view}
    # Measured as text within JSON, which is how the readable form of a result carries them.
    if _json_length(arguments) <= CHUNK_CHARACTERS:
        yield head
    else:
        yield from _split({**head, "arguments": None}, "arguments_json", arguments)
    if call.result is not None:
        result: Entry = {"type": "tool_result", "id": view["id"], "status": view["status"]}
        yield from _split(result, "result", result_text(call.result))


def _end_entry(state: SessionState, step: StepState) -> Iterator[Entry]:
    turn = state.turns[step.turn - 1]
    if turn.ended is None or turn.steps[-1] is not step:
        return
    end: Entry = {"type": "turn_end", "turn": turn.number, "stop_reason": turn.ended.stop_reason}
    if turn.ended.error_code:
        end["error"] = f"{turn.ended.error_code}: {turn.ended.error_message}"
    yield end


def _split(head: Entry, key: str, text: str) -> Iterator[Entry]:
    piece = cut_to_json(text, CHUNK_CHARACTERS)
    yield {**head, key: piece}
    start = len(piece)
    while start < len(text):
        piece = cut_to_json(text[start : start + CHUNK_CHARACTERS], CHUNK_CHARACTERS)
        start += len(piece)
        yield {"type": "continued", key: piece}


def call_view(call: CallState, *, whole: bool) -> Entry:
    """A tool call as results and transcripts show it; `arguments` whole, or cut to a line of JSON."""
    server, _, tool = call.call.name.partition("__")
    shown = call.veiled
    arguments: Any = shown.raw_arguments if shown.arguments is None else shown.arguments
    line = json.dumps(arguments, ensure_ascii=False)
    asked = [_question_view(one) for one in call.inputs[-SHOWN_QUESTIONS:]]
    ruled = _ruled(call) if whole else {}
    return {
        "id": call.call.id,
        "name": call.call.name,
        "server_name": call.server or server,
        "tool_name": call.tool_name or tool,
        "arguments": arguments if whole else cut(line, LINE_CHARACTERS),
        "status": call.status,
        "duration_ms": call.result.duration_ms if call.result else None,
        **({"questions": asked} if asked else {}),
        **ruled,
    }


def _ruled(call: CallState) -> Entry:
    """Which rule decided about the call, and what a person did; what is not known is left out."""
    decision = call.decision
    known = {
        "rule": cut(call.rule, LINE_CHARACTERS),
        "approval": cut(in_words(decision), LINE_CHARACTERS) if decision is not None else "",
    }
    return {key: words for key, words in known.items() if words}


def _question_view(one: InputState) -> Entry:
    """What a server asked the user, and how that ended; what the user said is between the two."""
    ended = "waiting" if one.given is None else "unanswered" if one.given.unasked else one.given.action
    return {
        "server_name": one.asked.server,
        "message": cut(one.asked.message, LINE_CHARACTERS),
        "answer": ended,
    }


def result_text(result: ToolResult) -> str:
    """A tool result as text; media are named, not shown."""
    return "\n".join(_content_text(part) for part in result.content)


def _content_text(part: Text | Media) -> str:
    if isinstance(part, Text):
        return part.text
    return f"[{part.mime_type}, {len(part.data) * 3 // 4} bytes]"


def cut(text: str, characters: int) -> str:
    """The text, or its beginning and `…` if it is longer."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def cut_to_json(text: str, characters: int) -> str:
    """The longest beginning, more or less, that is at most `characters` (6 or more) long as a JSON string."""
    piece = text[:characters]
    while (length := _json_length(piece)) > characters:
        piece = piece[: len(piece) * characters // length]
    return piece


def _json_length(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False)) - 2


def unsplit(all_entries: Sequence[Entry]) -> list[Entry]:
    """The entries of a `full` transcript with every text in one piece again."""
    whole: list[Entry] = []
    for entry in all_entries:
        if entry["type"] == "continued":
            whole[-1] |= {key: whole[-1][key] + piece for key, piece in entry.items() if key != "type"}
        else:
            whole.append(dict(entry))
    return whole


def as_markdown(all_entries: Sequence[Entry]) -> str:
    """The entries as a person reads them."""
    return "\n\n".join(_markdown(entry) for entry in all_entries)


def _markdown(entry: Entry) -> str:
    match entry["type"]:
        case "message":
            return f"**User:** {entry['text']}"
        case "note":
            return f"> {entry['text']}"
        case "step":
            calls = "".join(f"\n- {_call_line(call)}" for call in entry["tool_calls"])
            return f"**Step {entry['step_number']}** (turn {entry['turn']}): {entry['text']}{calls}"
        case "continued" if "tool_calls" in entry:
            return "\n".join(f"- {_call_line(call)}" for call in entry["tool_calls"])
        case "tool_call":
            return f"- {_call_line(entry)}"
        case "tool_result":
            return f"  result ({entry['status']}): {entry['result']}"
        case "turn_end":
            error = f" ({entry['error']})" if "error" in entry else ""
            return f"*Turn {entry['turn']} ended: {entry['stop_reason']}{error}*"
        case _:
            return next(str(value) for key, value in entry.items() if key != "type")


def _call_line(call: Entry) -> str:
    arguments = call.get("arguments_json", call["arguments"])
    shown = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    took = "" if call["duration_ms"] is None else f", {call['duration_ms']} ms"
    asked = "".join(
        f"\n  - asked by {one['server_name']}: {one['message']} ({one['answer']})"
        for one in call.get("questions", ())
    )
    decided = "".join(f"\n  - {key}: {call[key]}" for key in ("rule", "approval") if key in call)
    return f"`{call['name']}` {shown} ({call['status']}{took}, {call['id']}){decided}{asked}"
