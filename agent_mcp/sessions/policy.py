"""Policy around the loop: which calls need a person, and what a session may spend.

Pure rules over names and figures, and wrappers of the ports `Toolbox` and `Limits`; who is asked, and how the
answer comes, is the runner's business.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from agent_mcp.agent.messages import StopReason
from agent_mcp.agent.ports import Limits
from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.profile import ApprovalRules, Budget

Verdict = Literal["run", "ask", "deny"]


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in pattern), re.DOTALL
    )


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name fits: `*` stands for any characters, `?` for one, all others for themselves."""
    return _compiled(pattern).fullmatch(name) is not None


def allowed_by(groups: Sequence[Sequence[str]], name: str) -> bool:
    """Whether the name fits a pattern of every group; no group allows everything."""
    return all(any(matches(pattern, name) for pattern in group) for group in groups)


def weight(pattern: str) -> int:
    """How many characters of a pattern stand for themselves: of two that match, the heavier one decides."""
    return sum(char not in "*?" for char in pattern)


def judge(rules: ApprovalRules, tool: Tool) -> tuple[Verdict, str]:
    """What happens to a call of this tool, and the rule that says so.

    `deny` always wins. Between `allow` and `ask` the heavier pattern wins, `ask` on a tie. A tool that no rule
    names asks if it declares itself destructive, else it runs.
    """
    name = tool.full_name
    if denied := next((pattern for pattern in rules.deny if matches(pattern, name)), None):
        return "deny", f"deny: {denied}"
    if rules.off:
        return "run", "approvals are off"
    allow = _heaviest(rules.allow, name)
    ask = _heaviest(rules.ask, name)
    if ask is not None and (allow is None or weight(ask) >= weight(allow)):
        return "ask", f"ask: {ask}"
    if allow is not None:
        return "run", f"allow: {allow}"
    if tool.destructive is True:
        return "ask", "the tool declares itself destructive"
    return "run", "no rule names it"


def _heaviest(patterns: Sequence[str], name: str) -> str | None:
    return max((pattern for pattern in patterns if matches(pattern, name)), key=weight, default=None)


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """A limit of steps and, around it, the session's budget."""

    inner: Limits
    budget: Budget
    state: SessionState

    def closing(self, steps: int) -> StopReason | None:
        """`budget` when an ordinary reply would leave nothing for the closing one, or what the inner limit says."""
        if exhausted(self.budget, self.state, replies=2):
            return "budget"
        return self.inner.closing(steps)

    def overrun(self) -> StopReason | None:
        """`budget` once a reply has cost more than was left: a closing one would be the second beyond the limit."""
        usage, budget = self.state.usage, self.budget
        tokens = usage.input_tokens + usage.output_tokens
        if budget.tokens is not None and tokens > budget.tokens:
            return "budget"
        if budget.cost_usd is not None and (usage.cost_usd or 0.0) > budget.cost_usd:
            return "budget"
        return self.inner.overrun()


def exhausted(budget: Budget, state: SessionState, *, replies: int) -> str | None:
    """Which limit leaves no room for that many more replies, in words; None while there is room.

    A reply to come is taken to cost as much as the last one did: the closing reply's share is kept back. Where
    no price is known, a cost budget that has seen one reply counts as spent: it could not be held.
    """
    usage = state.usage
    last = state.steps[-1].reply.usage if state.steps else None
    tokens = usage.input_tokens + usage.output_tokens
    ahead = replies * (last.input_tokens + last.output_tokens) if last else 0
    if budget.tokens is not None and tokens + ahead > budget.tokens:
        return f"{tokens} of {budget.tokens} tokens are used"
    if budget.cost_usd is not None and last is not None:
        if usage.cost_usd is None:
            return "the model has no known price, so a cost budget cannot be held"
        if usage.cost_usd + replies * (last.cost_usd or 0.0) > budget.cost_usd:
            return f"{usage.cost_usd:.4f} of {budget.cost_usd} USD are spent"
    if budget.seconds is not None and state.seconds >= budget.seconds:
        return f"{state.seconds:.0f} of {budget.seconds:g} seconds are used"
    if budget.tool_calls is not None and replies > 1 and len(state.calls) >= budget.tool_calls:
        return f"{len(state.calls)} of {budget.tool_calls} tool calls are made"
    return None
