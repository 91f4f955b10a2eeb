"""The gates that a tool call passes on its way to a server, each a wrapper of the port `Toolbox`.

From the outside in: the budget's number of calls; the approval, which may wait for a person; the budget's time;
the record that the call is about to be sent, and what a crash left open of it; the tools that the log has fixed.
"""

from collections.abc import Awaitable, Callable, Sequence
from math import ceil

import anyio

from agent_mcp.agent.messages import ToolCall, ToolResult
from agent_mcp.agent.ports import Toolbox
from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.answers import expired, why_denied
from agent_mcp.sessions.events import ApprovalAsked, ApprovalGiven, NoteAdded, ToolStarted
from agent_mcp.sessions.journal import LogJournal
from agent_mcp.sessions.log import CallState
from agent_mcp.sessions.meter import TurnMeter
from agent_mcp.sessions.patience import Patience
from agent_mcp.sessions.ports import Clock
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.rulings import Ruling, Rulings
from agent_mcp.sessions.tool_ports import SessionToolbox

APPROVAL_SECONDS = 24 * 3600.0
"""How long a waiting approval may be given; then the call counts as denied."""

BROKEN_OFF = "interrupted: a crash broke the call off; it may have taken effect"
"""The rule by which a call is asked about once more."""

NOTE = "[Note from agent_mcp, not from the user]"

Changed = Callable[[], Awaitable[None]]
"""Returns when the session's log has grown."""


class Gate:
    """What all gates share: an inner toolbox, whose tools are shown."""

    def __init__(self, inner: Toolbox, *, profile: Profile, journal: LogJournal) -> None:
        self._inner = inner
        self._profile = profile
        self._journal = journal

    @property
    def tools(self) -> Sequence[Tool]:
        """Those of the inner toolbox."""
        return self._inner.tools

    def _state(self, call: ToolCall) -> CallState:
        return self._journal.state.calls[call.id]

    def _tool(self, call: ToolCall) -> Tool | None:
        return next((tool for tool in self.tools if tool.name == call.name), None)


class FixedTools(Gate):
    """Shows the tools that the log has fixed for this turn, whatever the servers offer by now."""

    @property
    def tools(self) -> Sequence[Tool]:
        """As fixed."""
        return self._journal.state.tools or ()

    async def call(self, call: ToolCall) -> ToolResult:
        """Passed on, but for a tool that came after the list was fixed: no rule has been asked about it."""
        if self._tool(call) is None and any(tool.name == call.name for tool in self._inner.tools):
            return ToolResult.failure(call, "TOOL_NOT_FOUND", f"there is no tool {call.name}.")
        return await self._inner.call(call)


class CountedTools(Gate):
    """Refuses calls beyond a budget's number."""

    def __init__(self, inner: Toolbox, *, profile: Profile, journal: LogJournal, meter: TurnMeter) -> None:
        super().__init__(inner, profile=profile, journal=journal)
        self._meter = meter

    async def call(self, call: ToolCall) -> ToolResult:
        """The inner result, or `TOOL_DENIED` when the number of calls is used up."""
        if reason := self._meter.why_no_call(call.id):
            return ToolResult.failure(call, "TOOL_DENIED", reason)
        return await self._inner.call(call)


class TimedTools(Gate):
    """Stops a call that would outlast the budget of time."""

    def __init__(
        self,
        inner: Toolbox,
        *,
        profile: Profile,
        journal: LogJournal,
        meter: TurnMeter,
        bound: Callable[[str, Patience], None],
    ) -> None:
        """`bound` is told of each call's limit, which is to stand still while a person is waited for."""
        super().__init__(inner, profile=profile, journal=journal)
        self._meter = meter
        self._bound = bound

    async def call(self, call: ToolCall) -> ToolResult:
        """The inner result, or `INTERRUPTED` when the time is used up."""
        left = self._meter.seconds_left()
        if left is None:
            return await self._inner.call(call)
        # A budget of time is hard: it ends a call that would outlast it.
        patience = Patience(left)
        self._bound(call.id, patience)
        with patience.running():
            return await self._inner.call(call)
        reason = "the budget of time ran out during the call; it may have taken effect."
        # What it took counts: the budget is used up now, and must be seen to be.
        return ToolResult.failure(call, "INTERRUPTED", reason, duration_ms=ceil(left * 1000))


class ApprovedTools(Gate):
    """Asks for what the rules say must be asked for, and waits on the log for the answer."""

    def __init__(
        self,
        inner: Toolbox,
        *,
        profile: Profile,
        journal: LogJournal,
        rulings: Rulings,
        clock: Clock,
        changed: Changed,
    ) -> None:
        super().__init__(inner, profile=profile, journal=journal)
        self._rulings = rulings
        self._clock = clock
        self._changed = changed

    async def call(self, call: ToolCall) -> ToolResult:
        """The inner result, or `TOOL_DENIED` with the reason."""
        tool = self._tool(call)
        if tool is None:
            return await self._inner.call(call)
        ruling = self._rulings.on(call, tool)
        if ruling.verdict == "deny":
            return ToolResult.failure(
                call, "TOOL_DENIED", f"the agent may not use this tool ({ruling.rule})."
            )
        if self._must_ask(call, tool, ruling):
            given = await self._answer(call, tool, ruling)
            if given.decision == "deny":
                return ToolResult.failure(call, "TOOL_DENIED", why_denied(given))
        return await self._inner.call(call)

    def _must_ask(self, call: ToolCall, tool: Tool, ruling: Ruling) -> bool:
        state = self._state(call)
        # A call that was asked about once waits for its answer even if a restart found other rules.
        if state.started and not state.rerun:
            return self._profile.interrupted.get(tool.server) == "ask"
        return ruling.verdict == "ask" or state.asked is not None

    async def _answer(self, call: ToolCall, tool: Tool, ruling: Ruling) -> ApprovalGiven:
        state = self._state(call)
        asked = state.asked
        if asked is None or (state.started and not state.rerun and not state.asked_again):
            rule = BROKEN_OFF if state.started else ruling.rule
            asked = ApprovalAsked(call.id, self._clock.now() + APPROVAL_SECONDS, rule)
            await self._journal.append(asked)
        # A clock that was set back makes it no longer than it was meant.
        with anyio.move_on_after(min(APPROVAL_SECONDS, max(0.0, asked.expires_at - self._clock.now()))):
            while state.decision is None:
                if not state.started and self._rulings.now_granted(call, tool):
                    await self._journal.append(ApprovalGiven(call.id, "allow", how="granted"))
                else:
                    await self._changed()
        if state.decision is None:
            await self._journal.append(expired(state))
        # The append and an answer of somebody else may have crossed: the first one in the log counts.
        return state.decision or expired(state)


class RecordedTools(Gate):
    """Writes down that a call is about to be sent, and decides what becomes of one that a crash broke off."""

    def __init__(self, inner: Toolbox, *, profile: Profile, journal: LogJournal, rulings: Rulings) -> None:
        super().__init__(inner, profile=profile, journal=journal)
        self._rulings = rulings

    async def call(self, call: ToolCall) -> ToolResult:
        """The inner result; for a call that was started before a crash and may not be repeated, `INTERRUPTED`."""
        state, tool = self._state(call), self._tool(call)
        if state.started and not self._may_repeat(state, tool):
            return _interrupted(call)
        # Who was asked about a broken off call let it be sent once more, and not as often as it breaks off.
        if tool is not None and (not state.started or state.asked_again):
            rule = self._rulings.on(call, tool).rule
            await self._journal.append(ToolStarted(call.id, rerun=tool.rerunnable, rule=rule))
        return await self._inner.call(call)

    def _may_repeat(self, state: CallState, tool: Tool | None) -> bool:
        if state.rerun or tool is None:
            return state.rerun
        policy = self._profile.interrupted.get(tool.server)
        return policy == "retry" or (policy == "ask" and state.asked_again)


def _interrupted(call: ToolCall) -> ToolResult:
    reason = "the server stopped while this call ran. It may have taken effect: check before repeating it."
    return ToolResult.failure(call, "INTERRUPTED", reason)


class NotingTools:
    """Tells the model, before its next reply, that a server was restarted under it."""

    def __init__(self, inner: SessionToolbox, *, journal: LogJournal) -> None:
        self._inner = inner
        self._journal = journal

    @property
    def tools(self) -> Sequence[Tool]:
        """Those of the inner toolbox."""
        return self._inner.tools

    async def call(self, call: ToolCall) -> ToolResult:
        """The inner result; a restart that it brought about is noted in the log."""
        result = await self._inner.call(call)
        if names := self._inner.restarted():
            text = f"{NOTE} Restarted since you last used it: {', '.join(names)}. What it held in memory is gone."
            await self._journal.append(NoteAdded(text))
        return result
