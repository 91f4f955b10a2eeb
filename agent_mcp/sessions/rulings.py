"""What becomes of a call, all rules together: it runs, a person is asked, it is denied; and which rule decided.

From the strongest to the weakest: a `deny` of the agent or the server; a changed definition, where the server's entry
says `"pins": "ask"`; the taint rule (`taint`); `allow` and `ask` rules and what the tool declares (`policy.judge`).
What would ask is let through by a grant of this session that covers the call (`grants`). Pure.
"""

from dataclasses import dataclass

from agent_mcp.agent.messages import ToolCall
from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.policy import Verdict, allowed_exactly, judge
from agent_mcp.sessions.profile import Profile, ServerTrust
from agent_mcp.sessions.taint import Taint, taint_of

_TRUSTED = ServerTrust()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a call."""

    verdict: Verdict
    rule: str
    """What decided, in words."""
    granted: bool = False
    """It would be asked about, had a person not allowed it for the session."""


def rule_on_tool(profile: Profile, tool: Tool) -> Ruling:
    """What becomes of the tool's calls in a session that has heard nothing yet."""
    trust = profile.trust.get(tool.server, _TRUSTED)
    return Ruling(*judge(profile.approvals, tool, trust.approvals))


def rule_on(profile: Profile, state: SessionState, call: ToolCall, tool: Tool) -> Ruling:
    """What becomes of a call that is in the session's log."""
    plain = rule_on_tool(profile, tool)
    if plain.verdict == "deny":
        return plain
    step = state.calls[call.id].step
    changed_from = state.changed.get(tool.full_name)
    taint = _taint(profile, state, tool, step)
    ruling = _asking(plain, tool, taint=taint, changed=changed_from is not None)
    if ruling.verdict != "ask":
        return ruling
    grant = state.grants.holds(
        tool.full_name,
        call.arguments,
        known_from=taint.step if taint else 0,
        changed_from=changed_from or 0,
    )
    if grant is None:
        return ruling
    covered = "this tool" if grant == "session" else "this tool with these arguments"
    return Ruling("run", f"the user allowed {covered} for the session ({ruling.rule})", granted=True)


def _taint(profile: Profile, state: SessionState, tool: Tool, step: int) -> Taint | None:
    if not profile.approvals.taint or not state.heard:
        return None
    trust = profile.trust.get(tool.server, _TRUSTED)
    if allowed_exactly(profile.approvals, tool, trust.approvals):
        return None
    taint = taint_of(tool, profile.trust, state.heard)
    return taint if taint is not None and step >= taint.step else None


def _asking(plain: Ruling, tool: Tool, *, taint: Taint | None, changed: bool) -> Ruling:
    """The ruling of the rules alone, or the stronger one of what has happened since."""
    if changed:
        return Ruling("ask", f"pins: the definition of {tool.full_name} is not that of its first use")
    if taint is not None:
        return Ruling("ask", f"untrusted: the session holds content from server {taint.server}")
    return plain


class Rulings:
    """The rulings on a turn's calls, each made once: when the call first comes up."""

    def __init__(self, profile: Profile, state: SessionState) -> None:
        self._profile = profile
        self._state = state
        self._made: dict[str, Ruling] = {}

    def on(self, call: ToolCall, tool: Tool) -> Ruling:
        """What becomes of the call."""
        if call.id not in self._made:
            self._made[call.id] = rule_on(self._profile, self._state, call, tool)
        return self._made[call.id]

    def now_granted(self, call: ToolCall, tool: Tool) -> bool:
        """Whether a grant that came since covers the call."""
        return rule_on(self._profile, self._state, call, tool).granted
