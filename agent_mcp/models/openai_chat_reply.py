"""Puts a reply together from the chunks of a Chat Completions stream, as the many servers of that format write them.

Known liberties: no `index` in a call's pieces, the same index for several calls, empty or repeated ids, arguments as
an object, the name in every piece, finish reason "stop" in spite of calls, no usage, reasoning in fields of their own.
"""

from dataclasses import dataclass, field
from typing import Any

from agent_mcp.agent.events import Emit, TextDelta
from agent_mcp.agent.messages import Part, Reply, ReplyStop, Text, Thinking, ToolCall, Usage
from agent_mcp.errors import TransientModelError
from agent_mcp.models.calls import new_call, stop_of, whole
from agent_mcp.models.faults import refusal_from_body
from agent_mcp.models.openai_client import to_error
from agent_mcp.models.rendering import to_json
from agent_mcp.models.streaming import parse_event
from agent_mcp.models.target import WIRES, Target

_STOPS: dict[str, ReplyStop] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}


@dataclass(slots=True)
class _Call:
    """A call that is being streamed."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])


class ChatReply:
    """One reply in the making."""

    def __init__(self, target: Target, emit: Emit) -> None:
        self._target = target
        self._place = target.place
        self._emit = emit
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._stop: str | None = None
        self._usage: dict[str, Any] = {}
        self._model = target.model

    def take(self, name: bytes, data: bytes) -> None:
        """Take one chunk.

        Raises:
            ModelError: it is an error, or broken.
        """
        chunk = parse_event(data, place=self._place)
        if chunk.get("error") or name == b"error":
            refusal = refusal_from_body(chunk, fallback="an error without a message", status=None)
            raise to_error(refusal, self._target)
        self._usage = chunk.get("usage") or self._usage
        self._model = chunk.get("model") or self._model
        choices: list[dict[str, Any]] = chunk.get("choices") or []
        if choices:
            self._stop = choices[0].get("finish_reason") or self._stop
            self._delta(choices[0].get("delta") or {})

    def finish(self) -> Reply:
        """The whole reply.

        Raises:
            TransientModelError: the stream ended without a finish reason.
        """
        if self._stop is None:
            raise TransientModelError(f"{self._place} ended its reply without a finish reason")
        parts = self._parts()
        has_calls = any(isinstance(part, ToolCall) for part in parts)
        stop = stop_of(_STOPS.get(self._stop), has_calls=has_calls)
        return Reply(
            parts=parts,
            stop="refusal" if self._refusal and not has_calls else stop,
            usage=_usage(self._usage),
            wire=WIRES["openai-chat"],
            model=self._model,
        )

    def _delta(self, delta: dict[str, Any]) -> None:
        if thinking := delta.get("reasoning_content") or delta.get("reasoning"):
            self._thinking.append(str(thinking))
        if refusal := delta.get("refusal"):
            self._refusal.append(refusal)
        if text := delta.get("content") or delta.get("refusal"):
            self._text.append(text)
            self._emit(TextDelta(whole([text])))
        pieces: list[dict[str, Any]] = delta.get("tool_calls") or []
        for piece in pieces:
            self._piece(piece)

    def _piece(self, piece: dict[str, Any]) -> None:
        """Add a piece to its call: the one of its index; without an index the last, unless it starts a new one."""
        call = self._call_of(piece)
        function: dict[str, Any] = piece.get("function") or {}
        call.id = call.id or piece.get("id") or ""
        call.name = call.name or function.get("name") or ""
        arguments = function.get("arguments")
        if arguments:
            call.arguments.append(arguments if isinstance(arguments, str) else to_json(arguments))

    def _call_of(self, piece: dict[str, Any]) -> _Call:
        index: int | None = piece.get("index")
        known = self._by_index.get(index) if index is not None else (self._calls or [None])[-1]
        piece_id = piece.get("id")
        function: dict[str, Any] = piece.get("function") or {}
        named = bool(function.get("name"))
        starts = bool(piece_id and known and known.id and piece_id != known.id)
        if known is not None and not starts and not (index is None and named and not piece_id):
            return known
        call = _Call()
        self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def _parts(self) -> tuple[Part, ...]:
        parts: list[Part] = []
        if thinking := whole(self._thinking):
            parts.append(Thinking(thinking))
        if text := whole(self._text):
            parts.append(Text(text))
        taken: set[str] = set()
        calls = [call for call in self._calls if call.name]
        parts += [new_call(c.name, whole(c.arguments), provider_id=c.id, taken=taken) for c in calls]
        return tuple(parts)


def _usage(raw: dict[str, Any]) -> Usage:
    """Cached tokens are part of the prompt already."""
    details: dict[str, Any] = raw.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=raw.get("prompt_tokens") or 0,
        output_tokens=raw.get("completion_tokens") or 0,
        cache_read_tokens=details.get("cached_tokens") or 0,
    )
