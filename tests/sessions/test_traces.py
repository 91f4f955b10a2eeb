"""A turn knows the trace of the call that opened it, by the log alone."""

from agent_mcp.agent.messages import Text, Usage
from agent_mcp.sessions.events import Event, EventData, ModelReplied, TurnEnded, UserMessageAdded
from agent_mcp.sessions.log import SessionState


def folded(*events: tuple[int, EventData]) -> SessionState:
    """The state after these (turn, event)."""
    state = SessionState("s1")
    assert state.absorb(Event(seq, turn, 1.0, data) for seq, (turn, data) in enumerate(events, start=1))
    return state


def message(text: str, trace: str) -> UserMessageAdded:
    """One that came in a trace."""
    return UserMessageAdded(text, {"traceparent": trace} if trace else {})


def replied(read: int) -> ModelReplied:
    """A reply that had read so far."""
    return ModelReplied(step=0, parts=(Text("x"),), stop="max_tokens", usage=Usage(), read=read)


def test_the_message_that_opens_a_turn_counts_and_no_later_one() -> None:
    state = folded((1, message("a", "first")), (1, message("b", "second")))
    assert state.turns[0].trace == {"traceparent": "first"}


def test_without_a_trace_there_is_none() -> None:
    assert folded((1, message("a", ""))).turns[0].trace == {}


def test_a_turn_opened_by_what_was_left_unread_is_in_that_messages_trace() -> None:
    state = folded(
        (1, message("a", "first")),
        (1, replied(read=1)),
        (1, message("b", "second")),
        (1, TurnEnded("max_tokens")),
    )
    assert [turn.trace for turn in state.turns] == [{"traceparent": "first"}, {"traceparent": "second"}]
