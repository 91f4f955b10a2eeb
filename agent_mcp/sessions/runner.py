"""One turn from claim to end: fold, run, record; what to do with what a crash left open.

The runner is the only one that tails the log for the loop's sake: cancels, approvals and late messages come from
anywhere and reach it there. A shutdown writes nothing: the turn stays where it is and goes on elsewhere.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio

from agent_mcp.agent.history import close_open_calls
from agent_mcp.agent.limits import StepLimit
from agent_mcp.agent.loop import run_turn
from agent_mcp.agent.ports import Toolbox
from agent_mcp.agent.spending import Bill
from agent_mcp.errors import FencedError, InternalError, PublicError, ServerUnavailableError, StoreError
from agent_mcp.sessions.answering import Answering
from agent_mcp.sessions.events import NoteAdded, ToolsFixed, TurnEnded
from agent_mcp.sessions.gates import (
    NOTE,
    ApprovedTools,
    CountedTools,
    FixedTools,
    NotingTools,
    RecordedTools,
    TimedTools,
)
from agent_mcp.sessions.journal import LogJournal
from agent_mcp.sessions.live import LiveFeed
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.marking import MarkedTools, joined, system_of, withheld
from agent_mcp.sessions.meter import Budgets, Payer, TurnMeter
from agent_mcp.sessions.observing import TurnObserver, Unobserved
from agent_mcp.sessions.pinning import Changes, PinBook
from agent_mcp.sessions.ports import (
    Clock,
    Dispatcher,
    ModelSource,
    SessionStore,
)
from agent_mcp.sessions.profile import Caps, Profile
from agent_mcp.sessions.rulings import Rulings
from agent_mcp.sessions.sampling import Sampler
from agent_mcp.sessions.tool_ports import SessionToolbox, ToolScope, ToolSource
from agent_mcp.sessions.transcript import cut

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""So many claims may find nothing new since the one before; then the turn is what kills its process."""

NOTED_CHARACTERS = 200
"""What the model is told of a server that is down; the person gets all of it in the result's warnings."""

CANCELLED = "the turn was cancelled while this call ran or waited. It may have taken effect."
INTERRUPTED = "the process ended three times while this turn ran. It may have taken effect."


class _Watch:
    """The session's log as it grows: wakes who waits for approvals, and stops the loop at a cancel."""

    def __init__(self, state: SessionState, turn: int) -> None:
        self._state = state
        self._turn = turn
        self._grown = anyio.Event()
        self.scope = anyio.CancelScope()
        self.cancelled = False

    async def changed(self) -> None:
        """Return when the log has grown."""
        await self._grown.wait()

    def look(self) -> None:
        """The state has new events."""
        grown, self._grown = self._grown, anyio.Event()
        grown.set()
        turn = self._state.turns[self._turn - 1]
        if turn.ended is not None or turn.cancel_asked:
            self.cancelled = turn.cancel_asked
            self.scope.cancel()


class _Link:
    """The turn, as agents that it calls are to know it: the port `ChainLink`."""

    def __init__(self, journal: LogJournal, meter: TurnMeter, watch: _Watch) -> None:
        self._journal = journal
        self._meter = meter
        self._watch = watch

    @property
    def cancelled(self) -> bool:
        return self._watch.cancelled

    def allowance(self, call_id: str) -> Caps:
        return self._meter.left_for(call_id)

    def bill(self, call_id: str, bill: Bill) -> None:
        self._journal.bills[call_id] = bill


class TurnRunner:
    """Runs turns for the dispatcher."""

    def __init__(
        self,
        *,
        store: SessionStore,
        logs: SessionLogs,
        models: ModelSource,
        tools: ToolSource,
        clock: Clock,
        feed: LiveFeed,
        budgets: Budgets | None = None,
        pins: PinBook | None = None,
        observer: TurnObserver | None = None,
    ) -> None:
        self._store = store
        self._logs = logs
        self._models = models
        self._tools = tools
        self._clock = clock
        self._feed = feed
        self._pins = pins
        self._observer = observer or Unobserved()
        self._budgets = budgets or Budgets(store, clock)

    async def run(self, session_id: str, turn: int, dispatcher: Dispatcher) -> None:
        """Run the turn to its end if it is ours to run; then have the one it opened, if any, run too."""
        claim = await self._store.claim(session_id, turn)
        if claim is None:
            return
        record = await self._store.get(session_id)
        self._logs.meet(record)
        state = await self._logs.state(session_id)
        journal = LogJournal(
            claim=claim,
            state=state,
            store=self._store,
            logs=self._logs,
            clock=self._clock,
            agent=record.profile.agent,
            principal=record.principal,
            trust=record.profile.trust,
        )
        try:
            with self._observer.turn(record, state, claim):
                await self._run_claimed(journal, record.profile)
        except* FencedError:
            log.info("session %s: turn %d belongs to another runner now", session_id, turn)
        if state.active is not None:
            dispatcher.enqueue(session_id, state.active.number)

    async def _run_claimed(self, journal: LogJournal, profile: Profile) -> None:
        if journal.claim.attempts > MAX_ATTEMPTS:
            await self._close(journal, TurnEnded("interrupted"), INTERRUPTED)
            return
        watch = _Watch(journal.state, journal.claim.turn)
        async with self._watching(journal, watch):
            with watch.scope:
                watch.look()
                ended = await self._attempt(journal, profile, watch)
                if ended is not None:
                    await self._close(journal, ended, "not run: the turn ended with an error.")
        if watch.cancelled and journal.turn.ended is None:
            await self._close(journal, TurnEnded("cancelled"), CANCELLED)

    @asynccontextmanager
    async def _watching(self, journal: LogJournal, watch: _Watch) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self._follow, journal.state, watch)
            yield
            group.cancel_scope.cancel()

    async def _follow(self, state: SessionState, watch: _Watch) -> None:
        async with self._store.tail(state.id, after=state.seq) as batches:
            async for events in batches:
                await self._logs.absorb(state, events)
                watch.look()

    async def _attempt(self, journal: LogJournal, profile: Profile, watch: _Watch) -> TurnEnded | None:
        """Run the loop; what it could not end by itself comes back as the end to record."""
        try:
            await self._loop(journal, profile, watch)
        except (FencedError, StoreError):
            # The log takes nothing from us now: the turn stays as it is, and the sweep comes back to it.
            raise
        except Exception as error:
            return _error_end(error)
        return None

    async def _loop(self, journal: LogJournal, profile: Profile, watch: _Watch) -> None:
        session_id = journal.state.id
        emit = self._feed.emit_for(session_id)
        model = self._observer.model(self._models.open_model(profile.model))
        meter = self._meter(journal, profile)
        answering = Answering(journal, clock=self._clock, changed=watch.changed)
        await answering.close_left_open()
        scope = ToolScope(
            session_id=session_id,
            turn=journal.claim.turn,
            servers=profile.servers,
            tools=profile.tools,
            emit=emit,
            ancestry=profile.ancestry,
            ask=answering.ask,
            sample=Sampler(model, journal=journal, meter=meter, clock=self._clock).sample,
            chain=_Link(journal, meter, watch),
            call_meta=self._observer.call_meta,
        )
        hub = await self._tools.open_toolbox(scope)
        if journal.steps == 0:
            await self._fix_tools(journal, profile, hub)
            if hub.missing:
                raise ServerUnavailableError(
                    "; ".join(hub.missing), hint="Mend it, or take `required` from its entry."
                )
        await run_turn(
            model=model,
            toolbox=self._gated(hub, journal, profile, watch, answering, meter),
            journal=journal,
            limits=meter,
            system=joined(profile.instructions, journal.state.system),
            session_id=session_id,
            emit=emit,
        )

    def _gated(
        self,
        hub: SessionToolbox,
        journal: LogJournal,
        profile: Profile,
        watch: _Watch,
        answering: Answering,
        meter: TurnMeter,
    ) -> Toolbox:
        observed = self._observer.tools(NotingTools(hub, journal=journal))
        marked = MarkedTools(observed, profile=profile)
        fixed = FixedTools(marked, profile=profile, journal=journal)
        rulings = Rulings(profile, journal.state)
        recorded = RecordedTools(fixed, profile=profile, journal=journal, rulings=rulings)
        timed = TimedTools(recorded, profile=profile, journal=journal, meter=meter, bound=answering.bound)
        approved = ApprovedTools(
            timed,
            profile=profile,
            journal=journal,
            rulings=rulings,
            clock=self._clock,
            changed=watch.changed,
        )
        return CountedTools(approved, profile=profile, journal=journal, meter=meter)

    def _meter(self, journal: LogJournal, profile: Profile) -> TurnMeter:
        meter = TurnMeter(
            StepLimit(profile.max_steps),
            budgets=self._budgets,
            state=journal.state,
            turn=journal.claim.turn,
            payer=Payer(profile, journal.principal),
        )
        journal.explain_end = meter.explain_end
        return meter

    async def _fix_tools(self, journal: LogJournal, profile: Profile, hub: SessionToolbox) -> None:
        """Write down the tools and the servers' state for this turn, where they are not what the log says already."""
        state = journal.state
        fixed = await self._fixed(profile, hub, is_first=state.tools is None)
        if state.tools is not None and tuple(state.tools) == fixed.tools:
            # Equal tools are shared by all sessions, so that an adapter renders them once.
            state.tools = hub.tools
            if _is_known(fixed, state):
                return
        note = _note_on_servers(
            withheld(state.warnings, profile.trust), withheld(fixed.warnings, profile.trust)
        )
        await journal.append(fixed, *([NoteAdded(note)] if note else []))
        state.tools = hub.tools

    async def _fixed(self, profile: Profile, hub: SessionToolbox, *, is_first: bool) -> ToolsFixed:
        changes = await self._pins.compare(hub.offers, profile.trust) if self._pins else Changes()
        hidden = [notice for offer in hub.offers for notice in offer.notices]
        return ToolsFixed(
            tuple(hub.tools),
            tuple(hub.warnings),
            notices=(*changes.notices, *hidden),
            changed=changes.to_approve,
            system=system_of(hub.offers, profile.trust) if is_first and profile.servers else "",
        )

    async def _close(self, journal: LogJournal, ended: TurnEnded, open_calls: str) -> None:
        """End the turn, with a result for every call that has none."""
        # The end must be written even while the loop's scope is being cancelled.
        with anyio.CancelScope(shield=True):
            for result in close_open_calls(journal.open_calls(), "INTERRUPTED", open_calls):
                await journal.finished(result)
            await journal.close(ended)


def _error_end(error: Exception) -> TurnEnded:
    if not isinstance(error, PublicError):
        log.error("a turn failed unexpectedly", exc_info=error)
        error = InternalError("the turn")
    return TurnEnded("error", error.code, error.message, error.hint)


def _is_known(fixed: ToolsFixed, state: SessionState) -> bool:
    """Whether the log says the same already."""
    known = state.warnings, state.notices, tuple(state.changed)
    return known == (fixed.warnings, fixed.notices, fixed.changed)


def _note_on_servers(before: Sequence[str], now: Sequence[str]) -> str:
    if now:
        reasons = "; ".join(cut(warning, NOTED_CHARACTERS) for warning in now)
        return f"{NOTE} Not available in this turn: {reasons}"
    return f"{NOTE} All servers are available again." if before else ""
