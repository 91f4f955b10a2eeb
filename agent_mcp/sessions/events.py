"""What a session's log may hold. Append-only; every other view of a session is a fold over these (see `log`).

Kinds and fields are a storage format: new ones may be added with a default, none may change its meaning, so
that any newer version goes on with any older log. Knows nothing of how or where events are stored.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from agent_mcp.agent.messages import Content, Part, ReplyStop, ResultCode, StopReason, Usage
from agent_mcp.agent.spending import Bill
from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.profile import Caps
from agent_mcp.sessions.sizes import RESULT_CHARACTERS

GrantScope = Literal["once", "arguments", "session"]

AnswerWay = Literal["answered", "granted", "expired", "dismissed", "unasked"]
"""How an approval came to its answer: by a person; by what a person granted for the session; and, denied because the
time was up, after a person was asked, after they dismissed the question, or with nobody there to be asked."""


@dataclass(frozen=True, slots=True)
class UserMessageAdded:
    """The user said something. The row's turn is the one that it opened or joined."""

    text: str
    trace: dict[str, str] = field(default_factory=dict[str, str], compare=False)
    """W3C trace context (`traceparent`, `tracestate`) of the call that brought it; sent again, it has another."""
    kind: Literal["user_message"] = "user_message"


@dataclass(frozen=True, slots=True)
class NoteAdded:
    """Something that we tell the model before its next reply (a server was restarted, is down, is back)."""

    text: str
    kind: Literal["note"] = "note"


@dataclass(frozen=True, slots=True)
class ToolsFixed:
    """From here on the model is shown these tools; signed thinking from before is left out of requests."""

    tools: tuple[Tool, ...]
    warnings: tuple[str, ...] = ()
    """Servers that are down and tools that were left out, each with its reason."""
    notices: tuple[str, ...] = ()
    """What people should know of tools that are there: changed definitions, invisible characters."""
    changed: tuple[str, ...] = ()
    """Uncut names of tools whose definitions are not those of their first use, and must be approved for that."""
    system: str = ""
    """What the system text says after the agent's own instructions; that of a session's first event counts."""
    kind: Literal["tools_fixed"] = "tools_fixed"


@dataclass(frozen=True, slots=True)
class ModelReplied:
    """One reply of the model: one step."""

    step: int
    """From 0 through the session."""
    parts: tuple[Part, ...]
    stop: ReplyStop
    usage: Usage
    read: int
    """The highest sequence number that was folded when the model was asked: what it had read."""
    wire: str = ""
    model: str = ""
    blocks: str = ""
    closing: StopReason | None = None
    """Why this reply was asked for without tools, as the turn's last; None for an ordinary one."""
    duration_ms: int = 0
    kind: Literal["model_reply"] = "model_reply"


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A call is about to be sent to its server."""

    call_id: str
    rerun: bool
    """Whether a crash may repeat it (declared read-only or idempotent)."""
    rule: str = ""
    """The rule that let it run without being asked about, in words."""
    kind: Literal["tool_started"] = "tool_started"


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """The one result of a call."""

    call_id: str
    content: tuple[Content, ...]
    is_error: bool = False
    code: ResultCode | None = None
    duration_ms: int = 0
    bill: Bill | None = None
    """What the called server has spent on it, where that is an agent too."""
    shown_characters: int = RESULT_CHARACTERS
    """How much of its text the model is shown. Here, so that another config does not change what a model has read."""
    kind: Literal["tool_result"] = "tool_result"


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """A call waits for a person's decision."""

    call_id: str
    expires_at: float
    """Seconds since the epoch."""
    rule: str = ""
    """The rule by which it is asked about, in words."""
    kind: Literal["approval_asked"] = "approval_asked"


@dataclass(frozen=True, slots=True)
class ApprovalShown:
    """A person was asked about a waiting call, and has not decided (yet)."""

    call_id: str
    dismissed: bool = False
    """They put the question away without deciding."""
    kind: Literal["approval_shown"] = "approval_shown"


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    """The decision. Only the first for a call counts."""

    call_id: str
    decision: Literal["allow", "deny"]
    reason: str = ""
    scope: GrantScope = "once"
    """How far an `allow` reaches in this session: this call, this tool with these arguments, or this tool."""
    how: AnswerWay = "answered"
    kind: Literal["approval_given"] = "approval_given"


@dataclass(frozen=True, slots=True)
class InputAsked:
    """A server asks a person something in the middle of a call."""

    input_id: str
    """Unique in the store."""
    call_id: str
    server: str
    message: str
    expires_at: float
    """Seconds since the epoch."""
    schema: dict[str, Any] = field(default_factory=dict[str, Any])
    """The form to fill in; empty for an address."""
    url: str = ""
    kind: Literal["input_asked"] = "input_asked"


@dataclass(frozen=True, slots=True)
class InputShown:
    """Somebody who waits has put the question to a person: whoever can't should not answer it for them."""

    input_id: str
    kind: Literal["input_shown"] = "input_shown"


@dataclass(frozen=True, slots=True)
class InputGiven:
    """What came of a question. Only the first for it counts."""

    input_id: str
    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] | None = None
    unasked: bool = False
    """Whether it ended without any person having seen to it."""
    kind: Literal["input_given"] = "input_given"


@dataclass(frozen=True, slots=True)
class Sampled:
    """The session's model replied to a server in the middle of a call; what was said stays between them."""

    call_id: str
    usage: Usage
    model: str = ""
    duration_ms: int = 0
    kind: Literal["sampled"] = "sampled"


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody wants the running turn to stop."""

    kind: Literal["cancel_asked"] = "cancel_asked"


@dataclass(frozen=True, slots=True)
class AllowanceGiven:
    """The agent that calls us says what the row's turn may spend in all; of several the narrowest counts."""

    caps: Caps
    kind: Literal["allowance"] = "allowance"


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over."""

    stop_reason: StopReason
    error_code: str = ""
    error_message: str = ""
    error_hint: str = ""
    limit: str = ""
    """Which budget ended it, with the figures, in words."""
    next: str = ""
    """What makes sense after that limit, in words."""
    kind: Literal["turn_ended"] = "turn_ended"


@dataclass(frozen=True, slots=True)
class TurnDelivered:
    """A result with the stop reason of this row's turn was sent to a caller who was still there."""

    kind: Literal["delivered"] = "delivered"


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session takes no more messages."""

    kind: Literal["session_closed"] = "session_closed"


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a newer version than ours. Kept in its place, without meaning to us."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict[str, Any])


EventData = (
    UserMessageAdded
    | NoteAdded
    | ToolsFixed
    | ModelReplied
    | ToolStarted
    | ToolFinished
    | ApprovalAsked
    | ApprovalShown
    | ApprovalGiven
    | InputAsked
    | InputShown
    | InputGiven
    | Sampled
    | CancelAsked
    | AllowanceGiven
    | TurnEnded
    | TurnDelivered
    | SessionClosed
)


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the log."""

    seq: int
    """From 1 without gaps within its session."""
    turn: int
    """The turn it belongs to, from 1; 0 for the session itself."""
    at: float
    """Seconds since the epoch."""
    data: EventData | UnknownEvent
