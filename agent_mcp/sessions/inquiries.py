"""What a downstream server may want of us in the middle of a call, in neutral form: a person's input, a model's reply.

Only data and the two callbacks by which a toolbox hands such wishes on; who answers them, and how, is the business of
`answering` and `sampling`. Knows no MCP types. After the specification's elicitation and sampling:
https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from agent_mcp.agent.messages import Reply, UserMessage

InputAction = Literal["accept", "decline", "cancel"]
"""`decline`: a person said no. `cancel`: nobody has decided anything."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a server asks a person: to fill in a form, or to go to an address."""

    message: str
    schema: dict[str, Any] = field(default_factory=dict[str, Any])
    """The form as the server sent it; empty for an address."""
    url: str = ""
    """Where the person is to go; empty for a form."""


@dataclass(frozen=True, slots=True)
class InputAnswer:
    """What came of a question."""

    action: InputAction
    content: dict[str, Any] | None = None
    """The filled-in form of an `accept`."""


UNANSWERED = InputAnswer("cancel")
"""Nobody could be asked."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """A reply that a server wants of the model."""

    history: tuple[UserMessage | Reply, ...]
    """Never empty."""
    system: str = ""
    max_tokens: int | None = None
    """At most so many tokens of output."""


@dataclass(frozen=True, slots=True)
class SampleReply:
    """What the model said."""

    text: str
    model: str
    is_cut: bool
    """Whether it was cut at the limit of tokens."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no reply, in words for the server."""

    reason: str


Ask = Callable[[str, Question], Awaitable[InputAnswer]]
"""Puts a question, asked during the call of this id, to a person. Never raises."""
Sample = Callable[[str, SampleRequest], Awaitable[SampleReply | Refusal]]
"""Has the session's model reply, during the call of this id and at the session's cost. Never raises."""


def with_defaults(schema: Mapping[str, Any], content: Mapping[str, Any] | None) -> dict[str, Any]:
    """A filled-in form, with the schema's defaults where a field was left out (SEP-1034)."""
    properties = schema.get("properties")
    fields = cast("dict[str, Any]", properties) if isinstance(properties, dict) else {}
    defaults = {
        name: cast("dict[str, Any]", one)["default"]
        for name, one in fields.items()
        if isinstance(one, dict) and "default" in one
    }
    return {**defaults, **(content or {})}
