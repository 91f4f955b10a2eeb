"""What a session's log says was spent: by the session, by each turn, and by agents that it called. Pure.

Limits are not known here (see `budgets`); neither is the store, which adds the same figures up by day.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from agent_mcp.agent.messages import Usage
from agent_mcp.agent.spending import Bill, Spent
from agent_mcp.sessions.events import (
    AllowanceGiven,
    EventData,
    ModelReplied,
    Sampled,
    ToolFinished,
    UnknownEvent,
)
from agent_mcp.sessions.profile import Caps

NOTHING = Spent()
UNCOUNTED = frozenset({"TOOL_DENIED", "TOOL_NOT_FOUND"})
"""Codes of calls that reached no server."""


def day_of(at: float) -> str:
    """The day (UTC) of a time in seconds since the epoch, as the store names it: `2026-11-22`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def of_reply(usage: Usage, *, seconds: float = 0.0) -> Spent:
    """The figures of one reply."""
    return Spent(
        steps=1,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd or 0.0,
        seconds=seconds,
        unpriced=int(usage.cost_usd is None),
    )


def as_usage(spent: Spent) -> Usage:
    """As usage; its cost is known only if every price was."""
    cost_usd = None if spent.unpriced else spent.cost_usd
    return Usage(spent.input_tokens, spent.output_tokens, cost_usd=cost_usd)


@dataclass(slots=True)
class Tally:
    """The figures so far. Grows by the events of a log, each applied once and in order."""

    total: Spent = NOTHING
    turns: dict[int, Spent] = field(default_factory=dict[int, Spent])
    allowances: dict[int, Caps] = field(default_factory=dict[int, Caps])
    """By turn: what it may spend in all by the word of the agent that called us."""
    longest_seconds: float = 0.0
    """The longest call of the newest step: calls of a step run side by side."""
    _bills: dict[str, Spent] = field(default_factory=dict[str, Spent])

    def copy(self) -> "Tally":
        """One that grows by itself."""
        return replace(
            self, turns=dict(self.turns), allowances=dict(self.allowances), _bills=dict(self._bills)
        )

    def of_turn(self, turn: int) -> Spent:
        """The figures of one turn."""
        return self.turns.get(turn, NOTHING)

    def apply(self, turn: int, data: EventData | UnknownEvent) -> Spent:
        """Add what one event brings, and return it."""
        match data:
            case ModelReplied():
                self.longest_seconds = 0.0
                spent = of_reply(data.usage, seconds=data.duration_ms / 1000)
            case ToolFinished():
                spent = self._of_call(data)
            case Sampled(usage=usage):
                spent = of_reply(usage)  # Its time is that of the call in which it was asked for.
            case AllowanceGiven(caps=caps):
                self.allowances[turn] = self.allowances.get(turn, Caps()).narrowed(caps)
                return NOTHING
            case _:
                return NOTHING
        self.total = self.total.plus(spent)
        self.turns[turn] = self.of_turn(turn).plus(spent)
        return spent

    def _of_call(self, data: ToolFinished) -> Spent:
        seconds = data.duration_ms / 1000
        longer = max(0.0, seconds - self.longest_seconds)
        self.longest_seconds += longer
        own = Spent(tool_calls=int(data.code not in UNCOUNTED), seconds=longer)
        return own if data.bill is None else own.plus(self._news_of(data.bill))

    def _news_of(self, bill: Bill) -> Spent:
        """What the bill holds beyond the one before it; its time has passed in our own call."""
        known = self._bills.get(bill.turn, NOTHING)
        self._bills[bill.turn] = bill.spent
        return replace(bill.spent.beyond(known), seconds=0.0)
