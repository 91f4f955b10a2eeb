"""What a running turn may still spend, and what a new one may begin with: the limits, brought together with figures.

Figures of the session come from its log, those of a day from the store, where all sessions add to them; a day's are
read before each reply and each step of calls, so of several sessions that spend one day's budget each may pass it by
one reply. Rules stand in `budgets`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from agent_mcp.agent.messages import StopReason
from agent_mcp.agent.ports import Limits
from agent_mcp.agent.spending import Spent
from agent_mcp.errors import BudgetExceededError
from agent_mcp.sessions.budgets import (
    Limit,
    Stretch,
    ahead_of,
    exhausted,
    left,
    overrun,
)
from agent_mcp.sessions.chain import may_spend
from agent_mcp.sessions.events import AllowanceGiven
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.ports import Clock, SessionStore
from agent_mcp.sessions.profile import Budget, Caps, Profile
from agent_mcp.sessions.spending import UNCOUNTED, day_of

NO_CAPS = Caps()
TOMORROW = "It is whole again tomorrow (UTC). Read what there is with summary."
NEXT_TURN = "Call send_message to go on: each turn has a budget of its own."
NEW_SESSION = "The session's budget is spent: read it with summary, or go on in a new session."
CALLERS = "what the calling agent left"
CALLER = "The agent that calls has no more to give: read what there is with summary."


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose budgets a session spends."""

    profile: Profile
    principal: str


class Budgets:
    """The budgets of all sessions."""

    def __init__(self, store: SessionStore, clock: Clock, each: Budget | None = None) -> None:
        """`each`: limits of every principal, over its sessions and turns one by one and over all of its day."""
        self._store = store
        self._clock = clock
        self._each = each or Budget()

    def limit_cost(self, profile: Profile, allowance: Caps) -> bool:
        """Whether money is limited anywhere, so that only a model with a known price will do."""
        held = _held(profile.budget, self._each)
        return any(caps.cost_usd is not None for caps in (*held, allowance))

    def of_session(self, state: SessionState, turn: int, payer: Payer) -> list[Stretch]:
        """The limits over a turn and its session, with today's figures of both."""
        session, each_turn, _ = _held(payer.profile.budget, self._each)
        tally = state.tally
        of_turn, allowance = tally.of_turn(turn), tally.allowances.get(turn, NO_CAPS)
        every = [
            Stretch("this turn", each_turn, of_turn, NEXT_TURN),
            Stretch("this session", session, tally.total, NEW_SESSION),
            Stretch(CALLERS, allowance, of_turn, CALLER),
        ]
        return [stretch for stretch in every if stretch.caps != NO_CAPS]

    async def of_day(self, payer: Payer) -> list[Stretch]:
        """The limits over today; nothing is read where there are none."""
        day, found = day_of(self._clock.now()), list[Stretch]()
        own, principal = payer.profile.budget.day, payer.principal
        if own.limits:
            spent = await self._store.spent(day, principal=principal, agent=payer.profile.agent)
            found.append(Stretch("the agent's day", own, spent, TOMORROW, knows_prices=False))
        if self._each.day.limits:
            spent = await self._store.spent(day, principal=principal)
            found.append(Stretch("your day", self._each.day, spent, TOMORROW, knows_prices=False))
        return found

    async def allow(self, state: SessionState, turn: int, allowance: Caps) -> None:
        """Write down what the agent that calls allows the turn from here on, where that is narrower than before."""
        if not allowance.limits or turn != len(state.turns) or state.active is None:
            return
        spent, known = state.tally.of_turn(turn), state.tally.allowances.get(turn, NO_CAPS)
        whole = {name: getattr(spent, name) + limit for name, limit in allowance.limits.items()}
        caps = known.narrowed(Caps(**whole))
        if caps != known:
            await self._store.append(state.id, turn, [AllowanceGiven(caps)])

    async def check_begin(
        self, state: SessionState, payer: Payer, *, message: str = "", allowance: Caps | None = None
    ) -> None:
        """Whether a new turn may begin.

        Raises:
            BudgetExceededError: there is no room for a single reply.
        """
        turn = len(state.turns) + 1
        stretches = [*self.of_session(state, turn, payer), *await self.of_day(payer)]
        if allowance is not None:
            stretches.append(Stretch(CALLERS, allowance, Spent(), CALLER))
        refuse_if(exhausted(stretches, ahead_of(state, replies=1, more=message), calls=False))


@lru_cache(maxsize=256)
def _held(budget: Budget, each: Budget) -> tuple[Caps, Caps, Caps]:
    """Over the session, each turn and each day; asked for many times in every step."""
    return budget.tightened(each).stretches


def refuse_if(limit: Limit | None) -> None:
    """Raises:
    BudgetExceededError: there is such a limit.
    """
    if limit is not None:
        raise BudgetExceededError(
            f"A budget leaves no room for another reply: {limit}.", hint=limit.stretch.next
        )


class TurnMeter:
    """The limits of one turn, which only look at what is known: the port `Limits`, and what calls must ask."""

    def __init__(
        self, inner: Limits, *, budgets: Budgets, state: SessionState, turn: int, payer: Payer
    ) -> None:
        self._inner = inner
        self._budgets = budgets
        self._state = state
        self._turn = turn
        self._payer = payer
        self._days: list[Stretch] = []
        self._limit: tuple[str, str] | None = None

    async def closing(self, steps: int) -> StopReason | None:
        """`budget` when an ordinary reply would leave nothing for the closing one, or what the inner limit says."""
        await self._look()
        if not steps:
            refuse_if(exhausted(self._stretches(), self._ahead(1), calls=False))
        if self._ends(exhausted(self._stretches(), self._ahead(2), calls=True)):
            return "budget"
        return await self._inner.closing(steps)

    async def overrun(self) -> StopReason | None:
        """`budget` once a limit is passed: a closing reply would be the second beyond it."""
        await self._look()
        longest = self._state.tally.longest_seconds
        if self._ends(overrun(self._stretches(), calls_seconds=longest)):
            return "budget"
        return await self._inner.overrun()

    async def why_no_reply(self) -> str | None:
        """Why nobody else may have a reply of the model now, in words; the closing one's share is kept back."""
        await self._look()
        limit = exhausted(self._stretches(), self._ahead(2), calls=False)
        return None if limit is None else str(limit)

    def why_no_call(self, call_id: str) -> str | None:
        """Why this call of the newest step may not be made, in words."""
        counted = self._calls_counted()
        place = [call.call.id for call in self._state.steps[-1].calls].index(call_id)
        for stretch in self._stretches():
            limit = stretch.caps.tool_calls
            # A day's figures were read before the step: only those of the session hold calls of this one.
            before = stretch.spent.tool_calls - (counted if stretch.knows_prices else 0)
            if limit is not None and before + place >= limit:
                return f"the budget of {limit} tool calls of {stretch.name} is used up."
        return None

    def seconds_left(self) -> float | None:
        """How long a call may take; None: as long as it likes."""
        limits = [(each.caps.seconds, each.spent.seconds) for each in self._stretches()]
        return min((max(0.0, cap - spent) for cap, spent in limits if cap is not None), default=None)

    def left_for(self, call_id: str) -> Caps:
        """What an agent may spend that is called by this call: an even share, with a closing reply kept back."""
        calls = self._state.steps[-1].calls
        share = sum(may_spend(call.tool_name) and call.result is None for call in calls)
        return left(self._stretches(), kept=self._ahead(1), share=max(1, share))

    def explain_end(self, stop_reason: StopReason) -> tuple[str, str]:
        """Which limit ended the turn, with its figures as they are now, and the way out; empty for another end."""
        if stop_reason != "budget":
            return "", ""
        found = self._limit and next((s for s in self._stretches() if s.name == self._limit[0]), None)
        # After a restart the closing reply is in the log, and the reason for it must be found again.
        limit = Limit(found, self._limit[1]) if found and self._limit else None
        limit = limit or exhausted(self._stretches(), self._ahead(1), calls=True)
        return (f"a budget ended the turn: {limit}.", limit.stretch.next) if limit else ("", "")

    def _ends(self, limit: Limit | None) -> bool:
        if limit is not None:
            self._limit = (limit.stretch.name, limit.cap)
        return limit is not None

    async def _look(self) -> None:
        """Read today's figures; calls of the newest step are taken out of them again, to be counted one by one."""
        counted = self._calls_counted()
        self._days = [
            replace(each, spent=replace(each.spent, tool_calls=each.spent.tool_calls - counted))
            for each in await self._budgets.of_day(self._payer)
        ]

    def _stretches(self) -> Sequence[Stretch]:
        return [*self._budgets.of_session(self._state, self._turn, self._payer), *self._days]

    def _ahead(self, replies: int) -> Spent:
        return ahead_of(self._state, replies=replies)

    def _calls_counted(self) -> int:
        """How many calls of the newest step, if it is this turn's, are in the figures."""
        if not self._state.steps or self._state.steps[-1].turn != self._turn:
            return 0
        results = [call.result for call in self._state.steps[-1].calls]
        return sum(result is not None and result.code not in UNCOUNTED for result in results)
