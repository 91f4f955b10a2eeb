"""Whether a budget leaves room: pure rules over limits, figures and what the next reply may cost. Reads nothing.

A budget can be exceeded by one reply and no more: whatever was spent beside (by servers that the model answered, by
agents that it called, by other sessions on the same day), no reply is asked for once a limit is passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_mcp.agent.messages import Media, Message, Reply, Text, ToolCall, ToolResults, UserMessage
from agent_mcp.agent.spending import Spent
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.profile import Caps
from agent_mcp.sessions.spending import NOTHING, of_reply

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for the tokens of text that no model has counted yet."""
NOISE_TOKENS = 1_000
"""Less new text than this is within the error of the guess, and no small budget must end on a guess."""
MEDIA_TOKENS = 1_600
"""About what providers count for an image."""

UNITS = {
    "tokens": "tokens",
    "cost_usd": "USD",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "tool_calls": "tool calls",
    "seconds": "seconds",
    "steps": "steps",
}
"""What each limit counts, in words."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Something that limits hold over, with what is spent of it."""

    name: str
    """In words: `this session`."""
    caps: Caps
    spent: Spent
    next: str
    """The way out when it is used up, in words."""
    knows_prices: bool = True
    """Whether `spent` says how many replies had no known price."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one stretch."""

    stretch: Stretch
    cap: str
    """The limit's name, as in `Caps`."""

    def __str__(self) -> str:
        cap, spent = getattr(self.stretch.caps, self.cap), getattr(self.stretch.spent, self.cap)
        of = f"of {self.stretch.name} are used"
        if self.cap == "cost_usd":
            if self.stretch.knows_prices and self.stretch.spent.unpriced:
                return "the model has no known price, so a cost budget cannot be held"
            return f"{spent:.4f} of {cap:g} USD {of}"
        shown = f"{spent:.1f}" if self.cap == "seconds" else f"{spent:.0f}"
        return f"{shown} of {cap:g} {UNITS[self.cap]} {of}"


def exhausted(stretches: Sequence[Stretch], ahead: Spent, *, calls: bool) -> Limit | None:
    """Which limit leaves no room for what is `ahead`; None while there is room.

    `calls`: whether the next reply may call tools, and so needs room for a call. Where no price is known, a cost
    budget that has seen one reply counts as spent: it could not be held.
    """
    for stretch in stretches:
        for cap, limit in stretch.caps.limits.items():
            spent = getattr(stretch.spent, cap)
            match cap:
                case "tool_calls":
                    full = calls and spent >= limit
                case "cost_usd" if stretch.knows_prices and stretch.spent.unpriced:
                    full = True
                case _:
                    full = spent >= limit or spent + getattr(ahead, cap) > limit
            if full:
                return Limit(stretch, cap)
    return None


def overrun(stretches: Sequence[Stretch], *, calls_seconds: float) -> Limit | None:
    """Which limit is passed already, so that one more reply would be the second beyond it.

    Time that the newest step's calls took does not count here: they are cut off at the limit.
    """
    for stretch in stretches:
        for cap, limit in stretch.caps.limits.items():
            spent = getattr(stretch.spent, cap) - (calls_seconds if cap == "seconds" else 0)
            if cap != "tool_calls" and spent > limit:
                return Limit(stretch, cap)
    return None


def left(stretches: Sequence[Stretch], *, kept: Spent, share: int) -> Caps:
    """What one of `share` calls may spend, of what is left when `kept` is kept back; empty: as much as it likes."""
    found = Caps()
    for stretch in stretches:
        for cap, limit in stretch.caps.limits.items():
            rest = max(0, limit - getattr(stretch.spent, cap) - getattr(kept, cap))
            # Calls of one step run side by side: they share all but the time.
            part: Any = rest if cap == "seconds" else rest / share
            found = found.narrowed(Caps(**{cap: part if cap in ("cost_usd", "seconds") else int(part)}))
    return found


def ahead_of(state: SessionState, *, replies: int, more: str = "") -> Spent:
    """What so many more replies will cost, about: each as much as the last one, and what came since comes on top.

    `more` is a message that is not in the log yet.
    """
    news = _tokens_since_last_reply(state) + len(more) // CHARACTERS_PER_TOKEN
    news = news if news > NOISE_TOKENS else 0
    last = of_reply(state.steps[-1].reply.usage) if state.steps else NOTHING
    grown = (last.tokens + news) / last.tokens if last.tokens else 1.0
    return Spent(
        steps=replies,
        input_tokens=replies * (last.input_tokens + news),
        output_tokens=replies * last.output_tokens,
        cost_usd=replies * last.cost_usd * grown,
    )


def _tokens_since_last_reply(state: SessionState) -> int:
    tokens = sum(_tokens_of(unread.message) for unread in state.unread)
    for message in reversed(state.history):
        if isinstance(message, Reply):
            break
        tokens += _tokens_of(message)
    return tokens


def _tokens_of(message: Message) -> int:
    match message:
        case UserMessage(text=text):
            return len(text) // CHARACTERS_PER_TOKEN
        case ToolResults(results=results):
            return sum(_tokens_of_part(part) for result in results for part in result.content)
        case Reply():
            return 0


def _tokens_of_part(part: Text | Media | ToolCall) -> int:
    return len(part.text) // CHARACTERS_PER_TOKEN if isinstance(part, Text) else MEDIA_TOKENS
