"""Policy around the loop: which calls need a person. Pure rules over names; what may be spent is `budgets`' business.

Who is asked, and how the answer comes, is the runner's.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Literal

from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.profile import ApprovalRules

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


_NO_RULES = ApprovalRules()


def judge(rules: ApprovalRules, tool: Tool, of_server: ApprovalRules = _NO_RULES) -> tuple[Verdict, str]:
    """What happens to a call of this tool, and the rule that says so.

    `deny` always wins. Between `allow` and `ask` the heavier pattern wins, `ask` on a tie. A tool that no rule
    names asks if it declares itself destructive, else it runs. Rules of the server's entry (`of_server`) count as the
    agent's with `server__` before each pattern; `off` there is an `allow` of all its tools.
    """
    if denied := next(_matching("deny", rules, of_server, tool), None):
        return "deny", denied.words
    if rules.off:
        return "run", "approvals are off"
    allow = max(_matching("allow", rules, of_server, tool), key=_weight_of, default=None)
    ask = max(_matching("ask", rules, of_server, tool), key=_weight_of, default=None)
    if ask is not None and (allow is None or ask.weight >= allow.weight):
        return "ask", ask.words
    if allow is not None:
        return "run", allow.words
    if tool.destructive is True:
        return "ask", "its own hint that it is destructive"
    return "run", "no rule names it"


def allowed_exactly(rules: ApprovalRules, tool: Tool, of_server: ApprovalRules = _NO_RULES) -> bool:
    """Whether an `allow` rule names the tool itself, without wildcards."""
    return tool.full_name in rules.allow or tool.tool_name in of_server.allow


@dataclass(frozen=True, slots=True)
class _Match:
    """A pattern that fits a tool."""

    weight: int
    words: str


_weight_of = attrgetter("weight")


def _matching(
    verb: Literal["allow", "ask", "deny"], rules: ApprovalRules, of_server: ApprovalRules, tool: Tool
) -> Iterator[_Match]:
    """The rules of one kind that fit a tool, of the agent and of the tool's server."""
    ours = {"allow": rules.allow, "ask": rules.ask, "deny": rules.deny}[verb]
    theirs = {"allow": of_server.allow, "ask": of_server.ask, "deny": of_server.deny}[verb]
    if verb == "allow" and of_server.off:
        theirs = (*theirs, "*")
    prefix = len(tool.full_name) - len(tool.tool_name)
    for pattern in ours:
        if matches(pattern, tool.full_name):
            yield _Match(weight(pattern), f"{verb}: {pattern}")
    for pattern in theirs:
        if matches(pattern, tool.tool_name):
            yield _Match(prefix + weight(pattern), f"{verb}: {pattern} (server {tool.server})")
