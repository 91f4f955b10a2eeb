"""A fork's past: the finished steps of another session, as events of a new one."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from agent_mcp.agent.messages import ToolCall, new_call_id
from agent_mcp.errors import InvalidArgumentError
from agent_mcp.sessions.events import (
    Event,
    EventData,
    ModelReplied,
    NoteAdded,
    Sampled,
    ToolFinished,
    ToolsFixed,
    TurnDelivered,
    TurnEnded,
    UserMessageAdded,
)
from agent_mcp.sessions.log import SessionState, StepState


def forked_events(events: Sequence[Event], at_step: int | None) -> list[tuple[int, EventData]]:
    """The events (turn, data) of everything up to and including a finished step, with call ids of their own.

    Messages that the model had not read by then are left out. The last turn counts as ended and delivered; an error
    that ended it came after its last step, and stays behind.

    Raises:
        InvalidArgumentError: the session has no such finished step.
    """
    state = SessionState("")
    state.absorb(events)
    step = _step(state, at_step)
    if step is None:
        return []
    kept = _Copy(step).of(events)
    return [*kept, (step.turn, _end(state, step)), (step.turn, TurnDelivered())]


def _end(state: SessionState, last: StepState) -> TurnEnded:
    turn = state.turns[last.turn - 1]
    whole = turn.ended is not None and turn.steps[-1] is last and turn.ended.stop_reason != "error"
    return turn.ended if whole and turn.ended is not None else TurnEnded("end_turn")


def _step(state: SessionState, at_step: int | None) -> StepState | None:
    finished = [step for step in state.steps if step.finished]
    if at_step is None:
        return finished[-1] if finished else None
    for step in finished:
        if step.number == at_step:
            return step
    known = f"0 to {finished[-1].number}" if finished else "none yet"
    raise InvalidArgumentError(f"at_step: the session has no finished step {at_step}. It has: {known}.")


class _Copy:
    """Copies what belongs to the steps up to one, renumbering what refers to other events."""

    def __init__(self, last: StepState) -> None:
        self._last = last
        self._kept: list[tuple[int, EventData]] = []
        self._old_seqs: list[int] = []
        self._call_ids: dict[str, str] = {}

    def of(self, events: Sequence[Event]) -> list[tuple[int, EventData]]:
        """The copied events."""
        read_to = self._read_to(events)
        for event in events:
            copied = self._copied(event, read_to)
            if copied is not None:
                self._kept.append((event.turn, copied))
                self._old_seqs.append(event.seq)
        return self._kept

    def _read_to(self, events: Sequence[Event]) -> int:
        replies = (event.data for event in events if isinstance(event.data, ModelReplied))
        return next(reply.read for reply in replies if reply.step == self._last.number)

    def _copied(self, event: Event, read_to: int) -> EventData | None:
        match event.data:
            case UserMessageAdded() | NoteAdded() | ToolsFixed():
                return event.data if event.seq <= read_to else None
            case ModelReplied(step=step):
                return self._reply(event.data) if step <= self._last.number else None
            case ToolFinished(call_id=call_id):
                new_id = self._call_ids.get(call_id)
                return replace(event.data, call_id=new_id) if new_id else None
            case Sampled(call_id=call_id):
                new_id = self._call_ids.get(call_id)
                return replace(event.data, call_id=new_id) if new_id else None
            case TurnEnded() | TurnDelivered():
                return event.data if event.turn < self._last.turn else None
            case _:
                return None

    def _reply(self, reply: ModelReplied) -> ModelReplied:
        # What the model had read is told by event numbers, and those are new.
        read = bisect_right(self._old_seqs, reply.read)
        parts = tuple(self._renamed(part) if isinstance(part, ToolCall) else part for part in reply.parts)
        return replace(reply, parts=parts, read=read)

    def _renamed(self, call: ToolCall) -> ToolCall:
        new_id = self._call_ids[call.id] = new_call_id()
        return replace(call, id=new_id)
