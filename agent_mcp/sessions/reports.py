"""What a caller is told of a turn or a session: pure views of a folded log, before any host's format."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent_mcp.agent.messages import StopReason, Usage
from agent_mcp.agent.spending import Spent
from agent_mcp.sessions.inputs import InputState
from agent_mcp.sessions.log import CallState, SessionState, SessionStatus, StepState, TurnState
from agent_mcp.sessions.ports import SessionRecord
from agent_mcp.sessions.tool_ports import ServerStatus

REPORTED_STEPS = 10
"""The last steps of a turn that a report carries."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a result shows it."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class TurnReport:
    """A turn, as all tools but `summary` and `list_sessions` return it."""

    session_id: str
    status: SessionStatus
    turn: int
    text: str
    stop_reason: StopReason | None
    steps: Sequence[StepState]
    steps_omitted: int
    usage: Usage
    approvals: Sequence[CallState]
    queued_messages: int
    warnings: Sequence[str]
    problem: Problem | None = None
    resent: bool = False
    forked_from: str | None = None
    inputs: Sequence[InputState] = ()
    """What servers ask a person now."""
    decision: str | None = None
    """For `approve`: the decision that counts, which is the first one; None: the turn ended before there was one."""
    spent: Spent = field(default_factory=Spent)
    """The turn's figures, those of agents that it called included."""
    after_limit: str = ""
    """What makes sense now that a budget has ended the turn."""


def report_turn(state: SessionState, *, turn: TurnState | None, reported_to: int = -1) -> TurnReport:
    """The turn as it stands; of a running one only the finished steps with a number above `reported_to`."""
    if turn is None:
        return _before_the_first(state)
    steps = _shown(turn, reported_to)
    replied = turn.steps if turn.ended or turn.resting else [step for step in turn.steps if step.finished]
    newest = state.turn is turn
    limit = [turn.ended.limit] if turn.ended and turn.ended.limit else []
    return TurnReport(
        session_id=state.id,
        status=state.status,
        turn=turn.number,
        text=replied[-1].reply.text if replied else "",
        stop_reason=turn.ended.stop_reason if turn.ended else None,
        steps=steps[-REPORTED_STEPS:],
        steps_omitted=max(0, len(steps) - REPORTED_STEPS),
        usage=turn.usage,
        approvals=turn.waiting,
        queued_messages=state.queued_messages if newest else 0,
        warnings=[*limit, *state.warnings, *state.notices],
        spent=state.tally.of_turn(turn.number),
        after_limit=turn.ended.next if turn.ended else "",
        problem=_problem(turn),
        inputs=turn.inputs,
    )


def _shown(turn: TurnState, reported_to: int) -> list[StepState]:
    if turn.ended or turn.resting:
        return turn.steps
    # A step with a call that waits is not finished; its host must see it all the same.
    return [
        step
        for step in turn.steps
        if (step.finished and step.number > reported_to)
        or any(call.status == "waiting" for call in step.calls)
    ]


def _before_the_first(state: SessionState) -> TurnReport:
    return TurnReport(
        session_id=state.id,
        status=state.status,
        turn=0,
        text="",
        stop_reason=None,
        steps=(),
        steps_omitted=0,
        usage=Usage(),
        approvals=(),
        queued_messages=state.queued_messages,
        warnings=[*state.warnings, *state.notices],
    )


def _problem(turn: TurnState) -> Problem | None:
    ended = turn.ended
    if ended is None or not ended.error_code:
        return None
    return Problem(ended.error_code, ended.error_message, ended.error_hint)


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session in figures."""

    record: SessionRecord
    status: SessionStatus
    turns: int
    steps: int
    messages: int
    total_tool_calls: int
    successful_tool_calls: int
    failed_tool_calls: int
    is_complete: bool
    usage: Usage
    servers: Sequence[ServerStatus]
    updated_at: float
    last_text: str
    problem: Problem | None
    state: SessionState = field(repr=False)


def summarize(record: SessionRecord, state: SessionState, servers: Sequence[ServerStatus]) -> SessionSummary:
    """The figures of a session's folded log."""
    statuses = [call.status for call in state.calls.values()]
    ended = [turn for turn in state.turns if turn.ended is not None]
    return SessionSummary(
        record=record,
        status=state.status,
        turns=len(state.turns),
        steps=len(state.steps),
        messages=state.messages,
        total_tool_calls=len(statuses),
        successful_tool_calls=statuses.count("ok"),
        failed_tool_calls=sum(status in ("error", "denied", "interrupted") for status in statuses),
        is_complete=state.closed or (bool(ended) and state.active is None),
        usage=state.usage,
        servers=servers,
        updated_at=max(state.updated_at, record.updated_at),
        last_text=state.steps[-1].reply.text if state.steps else "",
        problem=_problem(ended[-1]) if ended else None,
        state=state,
    )
