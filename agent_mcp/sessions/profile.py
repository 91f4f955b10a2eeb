"""An agent, as a session is made from it: model, instructions, servers, tools, limits, approvals.

A profile is resolved once, when the session starts, and stored with it: a changed config changes new sessions.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits over the whole session; None is no limit."""

    tokens: int | None = None
    """Input (cache included) and output together."""
    cost_usd: float | None = None
    seconds: float | None = None
    """Time that turns ran; waiting for approvals does not count."""
    tool_calls: int | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """Patterns over uncut `server__tool` names; `*` matches any characters."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    off: bool = False
    """`"approvals": "off"`: never ask; `deny` still denies."""


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
    ancestry: tuple[str, ...] = ()
    """Names of the sessions that this one runs under, outermost first, and its own as the last (see `chain`)."""
