"""What was said, as attributes of spans: only for users who ask for it with the standard variable. Pure.

The shapes are those of the semantic conventions' `gen_ai.input.messages` and `gen_ai.output.messages`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from agent_mcp.agent.messages import (
    Message,
    Part,
    Reply,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolResults,
    UserMessage,
)
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.observability import semantics as names

_ON = frozenset({"true", "1", "span_only", "span_and_event"})


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the user wants content in spans."""
    return environ.get(names.CAPTURE_VARIABLE, "").strip().lower() in _ON


def of_request(request: ModelRequest) -> dict[str, str]:
    """What the model reads for the first time with this request: the rest stands in the spans before."""
    new: list[Message] = []
    for message in reversed(request.history):
        if isinstance(message, Reply):
            break
        new.append(message)
    attributes = {names.INPUT_MESSAGES: _json([_message(message) for message in reversed(new)])}
    if request.system:
        attributes[names.SYSTEM] = _json([{"type": "text", "content": request.system}])
    return attributes


def of_reply(reply: Reply) -> dict[str, str]:
    """What the model said."""
    return {names.OUTPUT_MESSAGES: _json([{**_message(reply), "finish_reason": reply.stop}])}


def of_call(call: ToolCall) -> dict[str, str]:
    """The arguments."""
    return {names.TOOL_ARGUMENTS: _json(call.arguments)}


def of_result(result: ToolResult) -> dict[str, str]:
    """Its text; of media nothing."""
    return {names.TOOL_RESULT: _json(result.text)}


def _message(message: Message) -> dict[str, Any]:
    match message:
        case UserMessage(text=text):
            return {"role": "user", "parts": [{"type": "text", "content": text}]}
        case Reply(parts=parts):
            return {"role": "assistant", "parts": _parts(parts)}
        case ToolResults(results=results):
            parts = [{"type": "tool_call_response", "id": r.call_id, "response": r.text} for r in results]
            return {"role": "tool", "parts": parts}
        case _:
            assert_never(message)


def _parts(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "content": text}
        case Thinking(text=text):
            return {"type": "reasoning", "content": text}
        case ToolCall():
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments}
        case _:
            assert_never(part)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
