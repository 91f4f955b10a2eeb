"""The loop's `Journal` on the session log: record first, then go on from what is recorded."""

from collections.abc import Callable, Mapping, Sequence

from agent_mcp.agent.messages import Message, Reply, StopReason, ToolCall, ToolResult
from agent_mcp.agent.spending import Bill
from agent_mcp.sessions.events import EventData, ModelReplied, ToolFinished, TurnEnded
from agent_mcp.sessions.log import REOPENING, SessionState, TurnState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.ports import Charge, Claim, Clock, SessionStore
from agent_mcp.sessions.profile import ServerTrust
from agent_mcp.sessions.spending import NOTHING

_TRUSTED = ServerTrust()


class LogJournal:
    """One claimed turn, as the loop reads and writes it."""

    def __init__(
        self,
        *,
        claim: Claim,
        state: SessionState,
        store: SessionStore,
        logs: SessionLogs,
        clock: Clock,
        agent: str = "",
        principal: str = "",
        trust: Mapping[str, ServerTrust] | None = None,
    ):
        """`agent` and `principal`: on whose account of the day goes what the turn spends; `trust`: by server."""
        self.claim = claim
        self.state = state
        self._store = store
        self._logs = logs
        self._clock = clock
        self._asked_at = 0.0
        self._read_to = 0
        self.principal = principal
        self._agent = agent
        self._trust = trust or {}
        # Ahead of the state: of two appends on their way at once each must charge only what is its own.
        self._tally = state.tally.copy()
        self.bills: dict[str, Bill] = {}
        """By call: what came of agents that were told to stop while the turn was being cancelled."""
        self.explain_end: Callable[[StopReason], tuple[str, str]] = _nothing_to_say
        """Says which budget a turn ends with, and what then makes sense."""

    @property
    def turn(self) -> TurnState:
        """The claimed turn."""
        return self.state.turns[self.claim.turn - 1]

    @property
    def steps(self) -> int:
        """How many replies this turn has had."""
        return len(self.turn.steps)

    @property
    def last_reply(self) -> Reply | None:
        """The last reply of this turn."""
        return self.turn.steps[-1].reply if self.turn.steps else None

    @property
    def closed_by(self) -> StopReason | None:
        """Why the last reply was the closing one; None if it was not."""
        return self.turn.steps[-1].closing if self.turn.steps else None

    def open_calls(self) -> Sequence[ToolCall]:
        """Calls of the last reply of this turn that have no result yet."""
        return self.state.open_calls() if self.turn.steps else ()

    async def read(self) -> Sequence[Message]:
        """The history with all user messages that are in the log by now."""
        await self._logs.refresh(self.state)
        self._asked_at = self._clock.monotonic()
        self._read_to = self.state.seq
        return self.state.readable()

    async def replied(self, reply: Reply, *, closing: StopReason | None) -> None:
        """Record a reply as the session's next step."""
        await self.append(
            ModelReplied(
                step=len(self.state.steps),
                parts=reply.parts,
                stop=reply.stop,
                usage=reply.usage,
                read=self._read_to,
                wire=reply.wire,
                model=reply.model,
                blocks=reply.blocks,
                closing=closing,
                duration_ms=round((self._clock.monotonic() - self._asked_at) * 1000),
            )
        )

    async def finished(self, result: ToolResult) -> None:
        """Record the result of one call."""
        server = self.state.calls[result.call_id].server
        await self.append(
            ToolFinished(
                result.call_id,
                result.content,
                result.is_error,
                result.code,
                result.duration_ms,
                result.bill or self.bills.get(result.call_id),
                self._trust.get(server, _TRUSTED).max_result_characters,
            )
        )

    async def end(self, stop_reason: StopReason) -> bool:
        """Record the end; an `end_turn` only if the model has read every message."""
        limit, then = self.explain_end(stop_reason)
        return await self.close(TurnEnded(stop_reason, limit=limit, next=then))

    async def close(self, ended: TurnEnded) -> bool:
        """Record an end with all it says. False, and nothing recorded, for an `end_turn` with messages unread."""
        reopen = ended.stop_reason in REOPENING
        mind_unread = reopen or ended.stop_reason == "end_turn"
        done = await self._store.end_turn(
            self.claim, [ended], unread_after=self.state.read_to if mind_unread else None, reopen=reopen
        )
        await self._logs.refresh(self.state)
        return done

    async def append(self, *events: EventData) -> None:
        """Record events of this turn, if the claim still holds.

        Raises:
            FencedError: it does not.
        """
        turn, charge = self.claim.turn, self._charge(events)
        stored = await self._store.append(self.state.id, turn, events, epoch=self.claim.epoch, charge=charge)
        await self._logs.absorb(self.state, stored)

    def _charge(self, events: Sequence[EventData]) -> Charge | None:
        spent = NOTHING
        for data in events:
            spent = spent.plus(self._tally.apply(self.claim.turn, data))
        return None if spent == NOTHING else Charge(self.principal, self._agent, spent)


def _nothing_to_say(stop_reason: StopReason) -> tuple[str, str]:
    return "", ""
