"""Puts a reply together from the events of a Responses stream. Knows the wire's JSON, not the SDK."""

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

_READ = frozenset(
    {
        b"",
        b"error",
        b"response.output_text.delta",
        b"response.refusal.delta",
        b"response.output_item.done",
        b"response.completed",
        b"response.incomplete",
        b"response.failed",
    }
)
"""Events worth decoding; others repeat the whole request, tools included, and mean nothing to us."""

_INCOMPLETE: dict[str, ReplyStop] = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}


class ResponsesReply:
    """One reply in the making."""

    def __init__(self, target: Target, emit: Emit) -> None:
        self._target = target
        self._place = target.place
        self._emit = emit
        self._items: list[dict[str, Any]] = []
        self._response: dict[str, Any] | None = None

    def take(self, name: bytes, data: bytes) -> None:
        """Take one event.

        Raises:
            ModelError: it is an error, or broken.
        """
        if name not in _READ:
            return
        event = parse_event(data, place=self._place)
        match event.get("type"):
            case "response.output_text.delta" | "response.refusal.delta":
                self._emit(TextDelta(whole([event["delta"]])))
            case "response.output_item.done":
                self._items.append(event["item"])
            case "response.completed" | "response.incomplete":
                self._response = event["response"]
            case "response.failed":
                raise self._failure(event["response"])
            case "error":
                raise self._failure(event)
            case _:
                return

    def finish(self) -> Reply:
        """The whole reply.

        Raises:
            TransientModelError: the stream ended without its terminal event.
        """
        response = self._response
        if response is None:
            raise TransientModelError(f"{self._place} ended its reply without a terminal event")
        # The terminal event repeats the items; some servers leave them out there.
        items: list[dict[str, Any]] = response.get("output") or self._items
        parts, has_refused = _assembled(items)
        has_calls = any(isinstance(part, ToolCall) for part in parts)
        return Reply(
            parts=tuple(parts),
            stop="refusal" if has_refused and not has_calls else _stop(response, has_calls=has_calls),
            usage=_usage(response.get("usage") or {}),
            wire=WIRES["openai"],
            model=response.get("model") or self._target.model,
            blocks=to_json(items) if items else "",
        )

    def _failure(self, event: dict[str, Any]) -> Exception:
        refusal = refusal_from_body(event, fallback="a failure without a message", status=None)
        return to_error(refusal, self._target)


def _assembled(items: list[dict[str, Any]]) -> tuple[list[Part], bool]:
    """Neutral parts, and whether the model refused. Call items are mended in place, so that they can be sent back."""
    parts: list[Part] = []
    has_refused = False
    taken: set[str] = set()
    for item in items:
        match item.get("type"):
            case "message":
                content: list[dict[str, Any]] = item.get("content") or []
                has_refused = has_refused or any(part.get("type") == "refusal" for part in content)
                if text := "".join(part.get("text") or part.get("refusal") or "" for part in content):
                    parts.append(Text(whole([text])))
            case "reasoning":
                summary: list[dict[str, Any]] = item.get("summary") or []
                if thought := whole([part.get("text") or "" for part in summary]):
                    parts.append(Thinking(thought))
            case "function_call":
                parts.append(_call(item, taken))
            case _:
                continue
    return parts, has_refused


def _call(item: dict[str, Any], taken: set[str]) -> ToolCall:
    raw = whole([item.get("arguments") or ""])
    call = new_call(item.get("name") or "", raw, provider_id=item.get("call_id") or "", taken=taken)
    item["call_id"] = call.provider_id
    if call.arguments is None or not raw:
        # Servers decode the arguments when they come back, and fail on what is no JSON object.
        item["arguments"] = "{}"
    return call


def _stop(response: dict[str, Any], *, has_calls: bool) -> ReplyStop:
    if response.get("status") != "incomplete":
        return stop_of("end_turn", has_calls=has_calls)
    details: dict[str, Any] = response.get("incomplete_details") or {}
    return stop_of(_INCOMPLETE.get(details.get("reason") or ""), has_calls=has_calls)


def _usage(raw: dict[str, Any]) -> Usage:
    """Cached tokens are part of the input already."""
    details: dict[str, Any] = raw.get("input_tokens_details") or {}
    return Usage(
        input_tokens=raw.get("input_tokens") or 0,
        output_tokens=raw.get("output_tokens") or 0,
        cache_read_tokens=details.get("cached_tokens") or 0,
        cache_write_tokens=details.get("cache_write_tokens") or 0,
    )
