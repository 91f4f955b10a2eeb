"""The fold over what servers have asked people in the middle of calls. A part of `log`; knows no turns."""

from dataclasses import dataclass, field

from agent_mcp.sessions.events import InputAsked, InputGiven, InputShown


@dataclass(slots=True)
class InputState:
    """Something that a server asks a person."""

    asked: InputAsked
    shown: bool = False
    """Whether it was put to a person."""
    given: InputGiven | None = None


@dataclass(slots=True)
class Inputs:
    """All such questions of a session, by id."""

    known: dict[str, InputState] = field(default_factory=dict[str, InputState])

    def ask(self, asked: InputAsked) -> InputState:
        """A server asks."""
        state = self.known[asked.input_id] = InputState(asked)
        return state

    def answer(self, event: InputShown | InputGiven) -> None:
        """Somebody was shown a question, or it came to its end; of several ends the first one counts."""
        state = self.known.get(event.input_id)
        if state is None:
            return
        if isinstance(event, InputShown):
            state.shown = True
        else:
            state.given = state.given or event
