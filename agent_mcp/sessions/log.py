"""The fold over a session's log: the history that a model sees, steps, calls, approvals, turns.

A `SessionState` is nothing but its events: apply the same ones and it is the same. It is kept while a session is
in use and grows by the events that are new; nothing in it is stored. Knows no storage and no clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, assert_never

from agent_mcp.agent.history import in_order, open_calls
from agent_mcp.agent.messages import (
    Message,
    Reply,
    ResultCode,
    StopReason,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
)
from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.calls import CallState
from agent_mcp.sessions.events import (
    AllowanceGiven,
    ApprovalAsked,
    ApprovalGiven,
    ApprovalShown,
    CancelAsked,
    Event,
    InputAsked,
    InputGiven,
    InputShown,
    ModelReplied,
    NoteAdded,
    Sampled,
    SessionClosed,
    ToolFinished,
    ToolsFixed,
    ToolStarted,
    TurnDelivered,
    TurnEnded,
    UnknownEvent,
    UserMessageAdded,
)
from agent_mcp.sessions.grants import Grants
from agent_mcp.sessions.inputs import Inputs, InputState
from agent_mcp.sessions.sizes import bounded
from agent_mcp.sessions.spending import Tally, as_usage
from agent_mcp.sessions.veil import Hide

SessionStatus = Literal["idle", "running", "needs_approval", "closed"]

REOPENING: frozenset[StopReason] = frozenset({"max_tokens", "max_steps", "refusal"})
"""Ends after which a message that came in too late opens the next turn at once. After a cancel held messages are
dropped; after an error or a spent budget they wait for the next message, so that no failure repeats itself."""


NOT_FROM_SERVERS: frozenset[ResultCode | None] = frozenset({"TOOL_DENIED", "TOOL_NOT_FOUND"})
"""Results that no server had a part in. Other failures may repeat its words."""


@dataclass(slots=True)
class StepState:
    """One reply of the model with its calls."""

    number: int
    turn: int
    reply: Reply
    calls: list[CallState]
    duration_ms: int
    closing: StopReason | None
    at: float

    @property
    def finished(self) -> bool:
        """Whether every call has its result."""
        return all(call.result is not None for call in self.calls)


@dataclass(slots=True)
class TurnState:
    """One turn."""

    number: int
    opened_at: float
    steps: list[StepState] = field(default_factory=list[StepState])
    messages: list[str] = field(default_factory=list[str])
    cancel_asked: bool = False
    ended: TurnEnded | None = None
    ended_at: float | None = None
    delivered: bool = False
    trace: Mapping[str, str] = field(default_factory=dict[str, str])
    """W3C trace context of the call that opened it; empty where nobody traces."""

    @property
    def usage(self) -> Usage:
        """Of all its replies, those to servers included."""
        samples = [usage for step in self.steps for call in step.calls for usage in call.samples]
        return Usage.total([*(step.reply.usage for step in self.steps), *samples])

    @property
    def inputs(self) -> list[InputState]:
        """What servers ask a person now."""
        steps = [] if self.ended else self.steps[-1:]
        return [one for step in steps for call in step.calls for one in call.open_inputs]

    @property
    def waiting(self) -> list[CallState]:
        """Calls that wait for a person."""
        return (
            [call for step in self.steps[-1:] for call in step.calls if call.waiting]
            if not self.ended
            else []
        )

    @property
    def resting(self) -> bool:
        """Whether nothing goes on until a person decides."""
        if not self.waiting:
            return False
        return all(call.waiting or call.result is not None for call in self.steps[-1].calls)


@dataclass(frozen=True, slots=True)
class Unread:
    """A message that the model has not read yet."""

    seq: int
    turn: int
    message: UserMessage


@dataclass(slots=True)
class Places:
    """Where the messages of a history begin in its transcript; one number more than there are known messages."""

    entries: list[int] = field(default_factory=lambda: [0])
    """How many entries stand before each."""
    steps: list[int] = field(default_factory=lambda: [0])
    """How many steps stand before each."""


@dataclass(slots=True, weakref_slot=True)
class SessionState:
    """A session as its log tells it, up to the event `seq`."""

    id: str
    seq: int = 0
    read_to: int = 0
    """The highest sequence number that the model has read, by its last reply."""
    history: list[Message] = field(default_factory=list[Message])
    """What the model has read and said. The results of the last reply are in it once all are there."""
    unread: list[Unread] = field(default_factory=list[Unread])
    turns: list[TurnState] = field(default_factory=list[TurnState])
    steps: list[StepState] = field(default_factory=list[StepState])
    calls: dict[str, CallState] = field(default_factory=dict[str, CallState])
    inputs: Inputs = field(default_factory=Inputs)
    tools: Sequence[Tool] | None = None
    """None until the first turn has fixed them."""
    warnings: Sequence[str] = ()
    notices: Sequence[str] = ()
    """What people should know of tools that are there."""
    changed: dict[str, int] = field(default_factory=dict[str, int])
    """Tools (by uncut name) with a changed definition, each with the step from which on it is known."""
    system: str = ""
    """What the system text says after the agent's instructions; fixed with the first tools."""
    grants: Grants = field(default_factory=Grants)
    places: dict[str, Places] = field(default_factory=dict[str, Places], compare=False)
    """By the detail of a transcript; kept by `excerpt`, which makes pages."""
    heard: dict[str, int] = field(default_factory=dict[str, int])
    """Servers whose content is in the log, each with the number of the first step that called for it."""
    usage: Usage = field(default_factory=Usage)
    """Of the whole session. Kept as it grows: every step of a turn asks for it."""
    tally: Tally = field(default_factory=Tally)
    """The figures that budgets are held against."""
    closed: bool = False
    created_at: float | None = field(default=None, compare=False)
    """By its row, for whoever has looked at it: the log does not tell one session of this id from another."""
    updated_at: float = 0.0
    hide: Hide = field(default=str, repr=False)
    """Takes secrets out of what people see of calls."""
    trace: Mapping[str, str] = field(default_factory=dict[str, str])
    """W3C trace context of the newest message."""

    @property
    def turn(self) -> TurnState | None:
        """The newest turn."""
        return self.turns[-1] if self.turns else None

    @property
    def active(self) -> TurnState | None:
        """The turn that has not ended, if there is one."""
        turn = self.turn
        return turn if turn is not None and turn.ended is None else None

    @property
    def status(self) -> SessionStatus:
        """As hosts read it."""
        if self.closed:
            return "closed"
        if self.active is None:
            return "idle"
        return "needs_approval" if self.active.resting else "running"

    @property
    def queued_messages(self) -> int:
        """User messages that the model has not read."""
        return sum(not unread.message.note for unread in self.unread)

    @property
    def messages(self) -> int:
        """Messages of the conversation, read or not; notes of ours do not count."""
        every = [*self.history, *(unread.message for unread in self.unread)]
        return sum(not (isinstance(message, UserMessage) and message.note) for message in every)

    def open_calls(self) -> Sequence[ToolCall]:
        """Calls of the newest step that have no result yet."""
        if not self.steps:
            return ()
        step = self.steps[-1]
        return open_calls(step.reply, [c.call.id for c in step.calls if c.result is not None])

    def readable(self) -> list[Message]:
        """The history with everything unread: what the next request shows the model."""
        return [*self.history, *(unread.message for unread in self.unread)]

    def absorb(self, events: Iterable[Event]) -> bool:
        """Apply the events that are new; False, and nothing beyond it applied, at a gap in the numbers."""
        for event in events:
            if event.seq <= self.seq:
                continue
            if event.seq != self.seq + 1:
                return False
            self._apply(event)
            self.seq = event.seq
            self.updated_at = event.at
        return True

    def _apply(self, event: Event) -> None:
        self._count(event)
        match event.data:
            case UserMessageAdded():
                self._add_message(event, event.data)
            case NoteAdded():
                self._add_note(event, event.data)
            case ToolsFixed():
                self._fix_tools(event.data)
            case ModelReplied():
                self._add_reply(event, event.data)
            case ToolStarted(call_id=call_id, rerun=rerun, rule=rule):
                call = self.calls[call_id]
                call.started, call.rerun, call.rule = True, rerun, call.rule or rule
                call.asked_again = False
            case ToolFinished():
                self._add_result(event.data)
            case ApprovalAsked(call_id=call_id, rule=rule):
                call = self.calls[call_id]
                call.asked, call.asked_again, call.decision = event.data, call.started, None
                call.shown, call.rule = None, rule
            case ApprovalShown(call_id=call_id):
                self.calls[call_id].shown = event.data
            case ApprovalGiven(call_id=call_id):
                self._decide(call_id, event.data)
            case InputAsked(call_id=call_id):
                self.calls[call_id].inputs.append(self.inputs.ask(event.data))
            case InputShown() | InputGiven():
                self.inputs.answer(event.data)
            case Sampled(call_id=call_id, usage=usage):
                self.calls[call_id].samples.append(usage)
                self.usage = self.usage.plus(usage)
            case CancelAsked():
                self._turn(event).cancel_asked = True
            case TurnEnded():
                self._end_turn(event, event.data)
            case TurnDelivered():
                self._turn(event).delivered = True
            case SessionClosed():
                self.closed = True
            case AllowanceGiven() | UnknownEvent():
                pass
            case _:
                assert_never(event.data)

    def _count(self, event: Event) -> None:
        spent = self.tally.apply(event.turn, event.data)
        if isinstance(event.data, ToolFinished) and spent.tokens:
            self.calls[event.data.call_id].samples.append(as_usage(spent))
            self.usage = self.usage.plus(as_usage(spent))

    def _turn(self, event: Event) -> TurnState:
        while len(self.turns) < event.turn:
            self.turns.append(TurnState(len(self.turns) + 1, event.at))
        return self.turns[event.turn - 1]

    def _add_message(self, event: Event, data: UserMessageAdded) -> None:
        turn, text = self._turn(event), data.text
        turn.trace, self.trace = turn.trace or data.trace, data.trace
        # A message sent again after its turn failed would otherwise be read twice.
        self.unread = [u for u in self.unread if u.turn == event.turn or u.message.text != text]
        turn.messages.append(text)
        self.unread.append(Unread(event.seq, event.turn, UserMessage(text)))

    def _add_note(self, event: Event, data: NoteAdded) -> None:
        # Before what the user says: that is what the model is to answer, and what others take for the request.
        place = sum(unread.message.note for unread in self.unread)
        self.unread.insert(place, Unread(event.seq, event.turn, UserMessage(data.text, note=True)))

    def _fix_tools(self, fixed: ToolsFixed) -> None:
        if self.tools is not None and tuple(self.tools) != fixed.tools:
            # Signed thinking is bound to the tools it was made with: without `blocks` it is rendered anew.
            self.history = [_without_blocks(message) for message in self.history]
        if self.tools is None:
            self.system = fixed.system
        self.tools = fixed.tools
        self.warnings, self.notices = fixed.warnings, fixed.notices
        self.changed = {name: self.changed.get(name, len(self.steps)) for name in fixed.changed}

    def _add_reply(self, event: Event, data: ModelReplied) -> None:
        self.read_to = data.read
        self.history += [unread.message for unread in self.unread if unread.seq <= data.read]
        self.unread = [unread for unread in self.unread if unread.seq > data.read]
        reply = Reply(data.parts, data.stop, data.usage, data.wire, data.model, data.blocks)
        calls = [self._call(call, data.step) for call in reply.tool_calls]
        step = StepState(data.step, event.turn, reply, calls, data.duration_ms, data.closing, event.at)
        self.usage = self.usage.plus(data.usage) if self.steps else data.usage
        self.history.append(reply)
        self.calls |= {call.call.id: call for call in calls}
        self.steps.append(step)
        self._turn(event).steps.append(step)

    def _call(self, call: ToolCall, step: int) -> CallState:
        tool = next((tool for tool in self.tools or () if tool.name == call.name), None)
        names = (tool.server, tool.tool_name) if tool else ("", "")
        return CallState(call, step, *names, hide=self.hide)

    def _add_result(self, data: ToolFinished) -> None:
        state = self.calls[data.call_id]
        if state.result is not None:
            return
        state.shown_characters = data.shown_characters
        state.result = ToolResult(
            data.call_id, data.content, data.is_error, data.code, data.duration_ms, state.call.provider_id
        )
        if state.server and data.content and data.code not in NOT_FROM_SERVERS:
            self.heard[state.server] = min(state.step, self.heard.get(state.server, state.step))
        step = self.steps[-1]
        if state.step == step.number and step.finished:
            results = [bounded(c.result, c.shown_characters) for c in step.calls if c.result is not None]
            self.history.append(in_order(step.reply, results))

    def _decide(self, call_id: str, data: ApprovalGiven) -> None:
        call = self.calls[call_id]
        if call.decision is None and call.result is None:
            call.decision = data
            if data.decision == "allow":
                self.grants.add(call.name_of_tool, call.call.arguments, scope=data.scope, step=call.step)

    def _end_turn(self, event: Event, data: TurnEnded) -> None:
        turn = self._turn(event)
        if turn.ended is not None:
            return
        turn.ended, turn.ended_at = data, event.at
        if data.stop_reason == "cancelled":
            self._drop_held(turn)
        if data.stop_reason in REOPENING and self.queued_messages:
            self.turns.append(TurnState(turn.number + 1, event.at, trace=self.trace))

    def _drop_held(self, turn: TurnState) -> None:
        opener = None if turn.steps else next((u for u in self.unread if not u.message.note), None)
        self.unread = [u for u in self.unread if u.message.note or u is opener]


def _without_blocks(message: Message) -> Message:
    if not isinstance(message, Reply) or not message.blocks:
        return message
    return Reply(message.parts, message.stop, message.usage, message.wire, message.model)
