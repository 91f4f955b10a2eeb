"""What a turn does with a server's question to a person: it writes it into the log and waits there for the answer.

The runner never talks to a host. Whoever waits for the turn, in whichever process, sees the question in the log and
relays it; with nobody there it ends at its deadline. Knows no host and no protocol.
"""

import logging
import secrets

import anyio

from agent_mcp.errors import AgentMcpError
from agent_mcp.sessions.events import InputAsked, InputGiven, NoteAdded
from agent_mcp.sessions.gates import NOTE, Changed
from agent_mcp.sessions.inputs import InputState
from agent_mcp.sessions.inquiries import UNANSWERED, InputAnswer, Question, with_defaults
from agent_mcp.sessions.journal import LogJournal
from agent_mcp.sessions.patience import Patience
from agent_mcp.sessions.ports import Clock
from agent_mcp.sessions.transcript import cut

log = logging.getLogger(__name__)

INPUT_SECONDS = 30.0
"""How long a server's question waits for a person."""
INPUTS_PER_CALL = 20
"""Further questions of one call are not put to anybody; also what bounds a call that asks after every restart."""
MESSAGE_CHARACTERS = 8_000
"""A longer message is cut: a person reads no more, and it stands in the log."""
_NOTED_CHARACTERS = 200


class Answering:
    """Puts the questions of one turn's servers to people. `ask` is the port `sessions.inquiries.Ask`."""

    def __init__(self, journal: LogJournal, *, clock: Clock, changed: Changed) -> None:
        self._journal = journal
        self._clock = clock
        self._changed = changed
        self._budgets: dict[str, Patience] = {}

    def bound(self, call_id: str, patience: Patience) -> None:
        """While this call waits for a person, this limit stands still."""
        self._budgets[call_id] = patience

    async def ask(self, call_id: str, question: Question) -> InputAnswer:
        """What a person says, within `INPUT_SECONDS`; `cancel` when nobody could or would say anything."""
        try:
            with self._budgets.setdefault(call_id, Patience()).held():
                return await self._asked(call_id, question)
        except AgentMcpError as error:
            # The log takes nothing from us: the runner will meet that too, and knows what to do.
            log.info("a question of call %s was not put to anybody: %s", call_id, error)
            return UNANSWERED

    async def close_left_open(self) -> None:
        """End the questions that an earlier run of this turn has left: who asked them is gone."""
        if left := self._journal.turn.inputs:
            await self._journal.append(*[_ended(one.asked.input_id) for one in left])

    async def _asked(self, call_id: str, question: Question) -> InputAnswer:
        call = self._journal.state.calls[call_id]
        if call.result is not None or len(call.inputs) >= INPUTS_PER_CALL:
            return UNANSWERED
        asked = InputAsked(
            input_id=f"input_{secrets.token_hex(8)}",
            call_id=call_id,
            server=call.server,
            message=cut(question.message, MESSAGE_CHARACTERS),
            expires_at=self._clock.now() + INPUT_SECONDS,
            schema=question.schema,
            url=question.url,
        )
        await self._journal.append(asked)
        given = await self._outcome(self._journal.state.inputs.known[asked.input_id])
        if given.unasked:
            await self._journal.append(NoteAdded(_unanswered(asked)))
        content = given.content
        if given.action == "accept" and question.schema:
            content = with_defaults(question.schema, content)
        return InputAnswer(given.action, content)

    async def _outcome(self, state: InputState) -> InputGiven:
        with anyio.move_on_after(max(0.0, state.asked.expires_at - self._clock.now())):
            while state.given is None:
                await self._changed()
        if state.given is None:
            # Of an answer that comes in this very moment and of this one, the first in the log counts.
            await self._journal.append(_ended(state.asked.input_id))
        return state.given or _ended(state.asked.input_id)


def _unanswered(asked: InputAsked) -> str:
    message = cut(asked.message, _NOTED_CHARACTERS)
    return (
        f"{NOTE} During the call server {asked.server} asked the user: {message!r}. Nobody could answer, so it was "
        "told that the question was dismissed."
    )


def _ended(input_id: str) -> InputGiven:
    return InputGiven(input_id, "cancel", unasked=True)
