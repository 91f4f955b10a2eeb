"""Puts a reply together from the events of a Messages stream. Knows the wire's JSON, not the SDK.

Every block is kept as the provider sent it, whatever its type, since it goes back byte for byte with the next
request; what we understand of it becomes neutral parts besides.
"""

from typing import Any

from agent_mcp.agent.events import Emit, TextDelta
from agent_mcp.agent.messages import Part, Reply, ReplyStop, Text, Thinking, ToolCall, Usage
from agent_mcp.errors import ContextOverflowError, TransientModelError
from agent_mcp.models.calls import new_call, parse_arguments, stop_of, whole
from agent_mcp.models.faults import refusal_from_body
from agent_mcp.models.rendering import to_json
from agent_mcp.models.streaming import parse_event
from agent_mcp.models.target import WIRES, Target

_STOPS: dict[str, ReplyStop] = {
    "end_turn": "end_turn",
    "stop_sequence": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "refusal": "refusal",
    "pause_turn": "pause_turn",
}
_OVERFLOW = "model_context_window_exceeded"


class _Block:
    """A content block that is being streamed: its start, and the pieces of each text field."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.pieces: dict[str, list[str]] = {}

    def add(self, delta: dict[str, Any]) -> None:
        """Text fields grow; `citations_delta` and other lists gain an entry; anything else replaces."""
        for key, value in delta.items():
            if key == "type":
                continue
            if key == "citation":
                self.start["citations"] = [*(self.start.get("citations") or []), value]
            elif isinstance(value, str):
                self.pieces.setdefault(key, []).append(value)
            else:
                self.start[key] = value

    @property
    def raw_input(self) -> str:
        """The tool arguments as the model wrote them; a server may also send them whole with the start."""
        if "partial_json" in self.pieces:
            return whole(self.pieces["partial_json"])
        return to_json(self.start.get("input") or {})

    def finished(self) -> dict[str, Any]:
        """The whole block, without its tool arguments."""
        grown = {key: (self.start.get(key) or "") + whole(pieces) for key, pieces in self.pieces.items()}
        grown.pop("partial_json", None)
        return {**self.start, **grown}


class AnthropicReply:
    """One reply in the making."""

    def __init__(self, target: Target, emit: Emit) -> None:
        self._target = target
        self._place = target.place
        self._emit = emit
        self._blocks: dict[int, _Block] = {}
        self._stop: str | None = None
        self._usage: dict[str, Any] = {}
        self._model = target.model

    def take(self, name: bytes, data: bytes) -> None:
        """Take one event.

        Raises:
            ModelError: it is an error, or broken.
        """
        if name == b"ping":
            return
        event = parse_event(data, place=self._place)
        match event.get("type"):
            case "content_block_delta":
                self._delta(event)
            case "content_block_start":
                self._blocks[event["index"]] = _Block(event["content_block"])
            case "message_start":
                self._model = event["message"].get("model") or self._model
                self._count(event["message"].get("usage"))
            case "message_delta":
                self._stop = event["delta"].get("stop_reason") or self._stop
                self._count(event.get("usage"))
            case "error":
                raise self._failure(event)
            case _:
                return

    def finish(self) -> Reply:
        """The whole reply.

        Raises:
            TransientModelError: the stream ended without a stop reason.
            ContextOverflowError: the context window was full.
        """
        if self._stop is None:
            raise TransientModelError(f"{self._place} ended its reply without a stop reason")
        if self._stop == _OVERFLOW:
            raise ContextOverflowError(f"{self._place}: the conversation fills the model's context window")
        parts, blocks = self._assembled()
        has_calls = any(isinstance(part, ToolCall) for part in parts)
        return Reply(
            parts=tuple(parts),
            stop=stop_of(_STOPS.get(self._stop), has_calls=has_calls),
            usage=_usage(self._usage),
            wire=WIRES["anthropic"],
            model=self._model,
            blocks=to_json(blocks) if blocks else "",
        )

    def _delta(self, event: dict[str, Any]) -> None:
        delta = event["delta"]
        self._blocks[event["index"]].add(delta)
        if delta.get("type") == "text_delta":
            self._emit(TextDelta(whole([delta["text"]])))

    def _count(self, usage: dict[str, Any] | None) -> None:
        self._usage |= {key: value for key, value in (usage or {}).items() if value is not None}

    def _failure(self, event: dict[str, Any]) -> Exception:
        refusal = refusal_from_body(event, fallback="an error without a message", status=None)
        target = self._target
        return refusal.to_error(
            place=self._place, hide=target.without_secrets, key_variable=target.key_variable
        )

    def _assembled(self) -> tuple[list[Part], list[dict[str, Any]]]:
        """Neutral parts, and the blocks to send back; an empty text would be refused there."""
        parts: list[Part] = []
        blocks: list[dict[str, Any]] = []
        taken: set[str] = set()
        for _, streamed in sorted(self._blocks.items()):
            block = streamed.finished()
            match block.get("type"):
                case "text" if not block.get("text"):
                    continue
                case "text":
                    parts.append(Text(block["text"]))
                case "thinking":
                    if thought := block.get("thinking"):
                        parts.append(Thinking(thought))
                case "tool_use":
                    call = new_call(
                        block.get("name") or "",
                        streamed.raw_input,
                        provider_id=block.get("id") or "",
                        taken=taken,
                    )
                    parts.append(call)
                    # Broken arguments can't go back as they are: the API takes nothing but an object here.
                    block |= {"id": call.provider_id, "input": call.arguments or {}}
                case _:
                    if "partial_json" in streamed.pieces:
                        block["input"] = parse_arguments(streamed.raw_input) or {}
            blocks.append(block)
        return parts, blocks


def _usage(raw: dict[str, Any]) -> Usage:
    """The API counts cached tokens apart from the input; we count all input."""
    read: int = raw.get("cache_read_input_tokens", 0)
    written: int = raw.get("cache_creation_input_tokens", 0)
    return Usage(
        input_tokens=raw.get("input_tokens", 0) + read + written,
        output_tokens=raw.get("output_tokens", 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
