"""What a conversation looks like: answers on stdout; without a terminal everything else goes to stderr, or nowhere.

Shows each reply once: as it is written where this process runs the turn, else when it is in the log.
"""

import sys

from agent_mcp.agent.events import Happening, ReplyRestarted, TextDelta, ToolProgress
from agent_mcp.agent.messages import Usage
from agent_mcp.cli.terminal import shown_arguments, without_controls
from agent_mcp.sessions.events import InputAsked
from agent_mcp.sessions.log import CallState, SessionState, StepState
from agent_mcp.sessions.reports import TurnReport


class Screen:
    """Shows one turn after the other."""

    def __init__(self, *, interactive: bool, command: str) -> None:
        self.interactive = interactive
        self._command = command
        self._next_step = 0
        self._streamed = False
        self._at_line_start = True
        self._told: dict[str, str] = {}
        """The last status shown of each call."""
        self._lost: OSError | None = None
        """Why some of a reply could not be shown."""

    def greet(self, what: str) -> None:
        """Before the first message."""
        if self.interactive:
            self._note(f"{what}. Ctrl-C cancels a turn; /exit or Ctrl-D ends the chat.")

    def prompt(self, text: str) -> None:
        """Ask a person for a line."""
        if self.interactive:
            self._break()
            self._write(text)

    def leave(self, session_id: str | None) -> None:
        """After the last message."""
        if self.interactive:
            print(flush=True)
            if session_id is not None:
                self._note(f"go on with: {self._command} chat --session {session_id}")

    def begin_turn(self, *, first_step: int) -> None:
        """From here on steps from this number on are shown."""
        self._next_step, self._streamed, self._at_line_start = first_step, False, True
        self._told.clear()

    def hear(self, happening: Happening) -> None:
        """A happening of the turn that runs in this process; that turn must not fail where nothing can be shown."""
        try:
            self._show(happening)
        except OSError as error:
            self._lost = error

    def watch(self, state: SessionState) -> None:
        """The log has grown: show what is new of the steps.

        Raises:
            OSError: nothing can be written any more; the turn goes on without us.
        """
        if self._lost is not None:
            raise self._lost
        for step in state.steps[self._next_step :]:
            self._show_step(step)
        self._tell_calls(state)

    def end_turn(self, report: TurnReport) -> None:
        """The last line of a turn, and what went wrong in it."""
        self._break()
        for warning in report.warnings:
            self._note(warning)
        if report.problem is not None:
            self.fail(report.problem.code, report.problem.message, report.problem.hint)
        stopped = "" if report.stop_reason == "end_turn" else f"{report.stop_reason}, "
        self._note(f"{stopped}{_used(report.usage)}")

    def fail(self, code: str, message: str, hint: str) -> None:
        """An error that does not end the chat."""
        self._break()
        self._error(f"{code}: {message}{f' ({hint})' if hint else ''}")

    def show_waiting(self, call: CallState) -> None:
        """A call that needs a person's decision, with its whole arguments."""
        why = f" (asked because of {call.rule})" if call.rule else ""
        self._note(f"{call.call.name} waits for approval: {shown_arguments(call.veiled)}{why}")

    def show_question(self, asked: InputAsked) -> None:
        """What a server asks in the middle of a call; it is not us who ask."""
        self._note(
            f'the server "{asked.server}" asks: {asked.message}{f" ({asked.url})" if asked.url else ""}'
        )

    def tell_too_late(self) -> None:
        """A question that was not answered in time."""
        self._note("nobody answered in time: the server was told so")

    def tell_how_to_answer(self, session_id: str, call: CallState) -> None:
        """Without a terminal there is nobody to ask here."""
        self._error(
            f"the turn rests: answer with `{self._command} approvals allow {call.call.id}` (or deny), "
            f"then `{self._command} chat --session {session_id}`"
        )

    def _show(self, happening: Happening) -> None:
        match happening:
            case TextDelta(text=text):
                self._streamed = True
                self._write(text)
            case ReplyRestarted(reason=reason, wait_seconds=seconds):
                self._note(f"the reply broke off ({reason}); again in {seconds:.0f} s")
                self._streamed = False
            case ToolProgress():
                return

    def _show_step(self, step: StepState) -> None:
        self._next_step = step.number + 1
        if not self._streamed:
            self._write(step.reply.text)
        self._streamed = False
        self._break()

    def _tell_calls(self, state: SessionState) -> None:
        for step in state.turn.steps if state.turn else ():
            for call in step.calls:
                if call.status not in ("pending", "waiting", self._told.get(call.call.id)):
                    self._tell(call)

    def _tell(self, call: CallState) -> None:
        if call.call.id not in self._told:
            self._note(f"-> {call.call.name} {shown_arguments(call.veiled)}")
        if call.result is not None:
            self._note(f"<- {call.call.name}: {call.status}, {call.result.duration_ms} ms")
        self._told[call.call.id] = call.status

    def _write(self, text: str) -> None:
        shown = without_controls(text) if self.interactive else text
        if shown:
            print(shown, end="", flush=True)
            self._at_line_start = shown.endswith("\n")

    def _break(self) -> None:
        if not self._at_line_start:
            print(flush=True)
            self._at_line_start = True

    def _note(self, text: str) -> None:
        """What is not the answer itself."""
        self._break()
        print(
            f"  [{without_controls(text)}]", file=sys.stdout if self.interactive else sys.stderr, flush=True
        )

    def _error(self, text: str) -> None:
        print(f"agent-mcp: {without_controls(text)}", file=sys.stderr, flush=True)


def _used(usage: Usage) -> str:
    cost = "cost unknown" if usage.cost_usd is None else f"{usage.cost_usd:.4f} USD"
    return f"{usage.input_tokens} tokens in, {usage.output_tokens} out, {cost}"
