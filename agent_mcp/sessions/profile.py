"""An agent, as a session is made from it: model, instructions, servers, tools, limits, approvals.

A profile is resolved once, when the session starts, and stored with it: a changed config changes new sessions.
"""

from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, Literal

from agent_mcp.sessions.sizes import RESULT_CHARACTERS


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits over one stretch of work; None is no limit. What a called agent spends counts too, but for its time."""

    tokens: int | None = None
    """Input (cache included) and output together."""
    cost_usd: float | None = None
    seconds: float | None = None
    """Time that turns ran; waiting for approvals does not count."""
    tool_calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    steps: int | None = None
    """Replies of the model, the closing one included."""

    @property
    def limits(self) -> dict[str, Any]:
        """Those that are set, by name."""
        values = ((name, getattr(self, name)) for name in CAP_NAMES)
        return {name: value for name, value in values if value is not None}

    def narrowed(self, other: "Caps") -> "Caps":
        """Limit by limit the smaller one."""
        mine, theirs = self.limits, other.limits
        return Caps(**{name: min(mine.get(name, inf), theirs.get(name, inf)) for name in mine | theirs})


CAP_NAMES = tuple(each.name for each in fields(Caps))


@dataclass(frozen=True, slots=True)
class Budget(Caps):
    """Limits over the whole session and, nested, over other stretches."""

    turn: Caps = field(default_factory=Caps)
    """Over each turn."""
    day: Caps = field(default_factory=Caps)
    """Over a day (UTC), for all sessions of the agent that one principal has on the store."""

    @property
    def stretches(self) -> tuple[Caps, Caps, Caps]:
        """Over the session, each turn, each day."""
        return Caps(**self.limits), self.turn, self.day

    def tightened(self, other: "Budget") -> "Budget":
        """Limit by limit the smaller one."""
        session, turn, day = (
            mine.narrowed(theirs) for mine, theirs in zip(self.stretches, other.stretches, strict=True)
        )
        return Budget(**session.limits, turn=turn, day=day)


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """Patterns over uncut `server__tool` names; `*` matches any characters."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    off: bool = False
    """`"approvals": "off"`: never ask; `deny` still denies."""
    taint: bool = True
    """Whether content from an untrusted server makes outward tools ask (see `taint`)."""


@dataclass(frozen=True, slots=True)
class ServerTrust:
    """How far the config trusts a server."""

    approvals: ApprovalRules = field(default_factory=ApprovalRules)
    """Patterns over the server's own tool names."""
    untrusted: bool = False
    """What it says may come from anybody."""
    outward: tuple[str, ...] | None = None
    """Patterns over its own names of tools that send something out; None: nothing is marked."""
    pins: Literal["ask", "warn", "off"] = "warn"
    """What a changed definition of a tool leads to (see `pins`)."""
    instructions: bool = False
    """Whether its own instructions are added to the system text."""
    max_result_characters: int = RESULT_CHARACTERS
    """How much text of one of its results the model is shown."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that a session needs to know about its agent."""

    agent: str = ""
    """The agent's name; empty for the nameless agent with all servers."""
    description: str = ""
    model: str = ""
    """A model reference as in the config: `provider:model` or an alias."""
    instructions: str = ""
    servers: tuple[str, ...] = ()
    """Names of the config's servers that it may use."""
    tools: tuple[tuple[str, ...], ...] = ()
    """Groups of patterns; a tool must match one pattern of every group. No group: all tools."""
    max_steps: int = 25
    budget: Budget = field(default_factory=Budget)
    approvals: ApprovalRules = field(default_factory=ApprovalRules)
    interrupted: dict[str, Literal["retry", "unknown", "ask"]] = field(
        default_factory=dict[str, Literal["retry", "unknown", "ask"]]
    )
    """By server: what becomes of a call that a crash broke off (default `unknown`)."""
    trust: dict[str, ServerTrust] = field(default_factory=dict[str, ServerTrust])
    """By server; one that is not in it has the defaults."""
    ancestry: tuple[str, ...] = ()
    """Names of the sessions that this one runs under, outermost first, and its own as the last (see `chain`)."""
