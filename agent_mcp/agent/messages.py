"""What a conversation is made of, in neutral form. Knows no provider, no MCP and no storage.

A history is a sequence of `Message`. A reply keeps, beside the neutral parts, the provider's own blocks as the
JSON text they are sent back in (`Reply.blocks`): signed thinking and encrypted reasoning survive byte for byte.

Messages compare by identity, so an adapter may keep what it rendered from one in a `WeakKeyDictionary`.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agent_mcp.agent.spending import Bill

StopReason = Literal[
    "end_turn", "max_tokens", "max_steps", "budget", "refusal", "cancelled", "error", "interrupted"
]
"""Why a turn ended, as a host reads it."""

ReplyStop = Literal["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn"]
"""Why a model stopped one reply. `pause_turn`: send the history again as it is."""

ResultCode = Literal[
    "TOOL_NOT_FOUND", "TOOL_TIMEOUT", "TOOL_ERROR", "TOOL_DENIED", "SERVER_UNAVAILABLE", "INTERRUPTED"
]
"""What kind of failure a tool result reports to the model."""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, from a model or a tool."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Thinking:
    """A readable summary of the model's reasoning. For people only: the signed original is in `Reply.blocks`."""

    text: str
    kind: Literal["thinking"] = "thinking"


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a sound or a document from a tool, base64-encoded."""

    mime_type: str
    data: str
    kind: Literal["media"] = "media"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool."""

    id: str
    """Ours, unique in the store."""
    name: str
    """`server__tool`, as the model saw it."""
    arguments: dict[str, Any] | None
    """None when what the model sent is not a JSON object; `raw_arguments` then holds it."""
    provider_id: str = ""
    """The provider's id for this call, which its result must carry."""
    raw_arguments: str = ""
    """The arguments as the model wrote them; empty when `arguments` says it all."""
    kind: Literal["tool_call"] = "tool_call"


def new_call_id() -> str:
    """An id for a tool call, unique in every store (64 random bits)."""
    return f"call_{secrets.token_hex(8)}"


Part = Text | Thinking | ToolCall
Content = Text | Media


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money of one or more replies."""

    input_tokens: int = 0
    """All input, cached tokens included."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None
    """None where no price is known, never a made-up 0."""

    def plus(self, other: "Usage") -> "Usage":
        """The sum; its cost is known only if both costs are."""
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cost_usd=(self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
        )

    @staticmethod
    def total(usages: Sequence["Usage"]) -> "Usage":
        """The sum of all; of none it is zero tokens at an unknown price."""
        if not usages:
            return Usage()
        result = usages[0]
        for usage in usages[1:]:
            result = result.plus(usage)
        return result


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class UserMessage:
    """What the user (the host's model, mostly) said; also a note of ours that the model must read."""

    text: str
    note: bool = False
    """Ours, not the user's: a server was restarted, is down, is back."""
    media: tuple[Media, ...] = ()
    """Shown with the text; only in what a server asks a model."""
    kind: Literal["user"] = "user"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Reply:
    """One whole reply of a model."""

    parts: tuple[Part, ...]
    stop: ReplyStop
    usage: Usage = field(default_factory=Usage)
    wire: str = ""
    """The wire that `blocks` belongs to: `anthropic`, `openai-responses`, `openai-chat` or `scripted`."""
    model: str = ""
    """The provider's name of the model that answered."""
    blocks: str = ""
    """JSON text of the provider's own blocks (an array), sent back as it is over the same wire; empty: render."""
    kind: Literal["reply"] = "reply"

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls in the order the model asked for them."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of one tool call. A failure is a value too: the model reads it and goes on."""

    call_id: str
    content: tuple[Content, ...] = ()
    is_error: bool = False
    code: ResultCode | None = None
    """Set exactly when the failure is ours to name; a tool's own error is `TOOL_ERROR`."""
    duration_ms: int = 0
    provider_id: str = ""
    bill: Bill | None = None
    """What the called server says that it has spent on it, where that is an agent too. Not for the model."""

    @property
    def text(self) -> str:
        """All text of the result, joined by line breaks."""
        return "\n".join(part.text for part in self.content if isinstance(part, Text))

    @staticmethod
    def failure(call: ToolCall, code: ResultCode, message: str, *, duration_ms: int = 0) -> "ToolResult":
        """A failed result that names its code to the model: `CODE: message`."""
        return ToolResult(
            call_id=call.id,
            content=(Text(f"{code}: {message}"),),
            is_error=True,
            code=code,
            duration_ms=duration_ms,
            provider_id=call.provider_id,
        )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ToolResults:
    """The results of all calls of one reply, in the order of the calls: exactly one each."""

    results: tuple[ToolResult, ...]
    kind: Literal["tool_results"] = "tool_results"


Message = UserMessage | Reply | ToolResults
