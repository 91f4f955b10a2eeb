"""The use cases behind the published tools: start, send, wait, summarize, list, approve, cancel, fork, close.

A call writes what it has to say into the log, has the turn run, and then only watches the log: whoever waits can
go away without the turn noticing. Knows no host and no protocol.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import Literal

from agent_mcp.errors import (
    ApprovalNotFoundError,
    BudgetExceededError,
    SessionExistsError,
    SessionNotFoundError,
    session_not_found,
)
from agent_mcp.sessions.answers import expired, expired_answers
from agent_mcp.sessions.chain import chain_name, check_depth, check_no_circle
from agent_mcp.sessions.events import (
    ApprovalGiven,
    ApprovalShown,
    CancelAsked,
    Event,
    GrantScope,
    InputGiven,
    InputShown,
    SessionClosed,
)
from agent_mcp.sessions.fork import forked_events
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.meter import Budgets, Payer
from agent_mcp.sessions.paging import PageRequest, SessionPage, read_page
from agent_mcp.sessions.ports import Clock, Dispatcher, ModelSource, NewSession, SessionRecord, SessionStore
from agent_mcp.sessions.profile import Caps, Profile
from agent_mcp.sessions.reports import SessionSummary, TurnReport, summarize
from agent_mcp.sessions.room import Room, ServiceLimits
from agent_mcp.sessions.start import (
    Agents,
    StartRequest,
    check_message,
    check_session_id,
    narrowed,
    new_session_id,
)
from agent_mcp.sessions.tool_ports import ToolSource
from agent_mcp.sessions.waiting import TurnWatch, Waits, Watcher
from agent_mcp.sessions.watch import Bell, SessionLists

CANCEL_SECONDS = 4.5
"""How long a cancel waits for the runner to react before it takes the turn away from it."""


class SessionService:
    """All that the published tools do."""

    def __init__(
        self,
        *,
        store: SessionStore,
        logs: SessionLogs,
        agents: Agents,
        models: ModelSource,
        tools: ToolSource,
        dispatcher: Dispatcher,
        clock: Clock,
        limits: ServiceLimits | None = None,
        budgets: Budgets | None = None,
        waits: Waits | None = None,
    ) -> None:
        self._store = store
        self._logs = logs
        self._agents = agents
        self._models = models
        self._tools = tools
        self._dispatcher = dispatcher
        self._clock = clock
        self._limits = limits or ServiceLimits()
        self._room = Room(store, self._limits, clock)
        self._watch = TurnWatch(store=store, logs=logs, dispatcher=dispatcher, waits=waits or Waits())
        self._lists = SessionLists()
        self._principal = ""
        self._budgets = budgets or Budgets(store, clock)
        self._ancestry: tuple[str, ...] = ()
        self._allowance = Caps()

    def under(self, ancestry: tuple[str, ...], allowance: Caps | None = None) -> "SessionService":
        """The same service as it is called by an agent's session, with the sessions above it and what they allow its
        turns to spend; see `chain`."""
        service = copy(self)
        service._ancestry = ancestry
        service._allowance = allowance or Caps()
        return service

    def for_principal(self, principal: str) -> "SessionService":
        """The same service as somebody else: every session is its principal's alone, and nobody else's exists."""
        service = copy(self)
        service._principal = principal
        return service

    async def start(
        self,
        request: StartRequest,
        *,
        session_id: str | None,
        wait_seconds: float,
        watcher: Watcher | None = None,
    ) -> TurnReport:
        """Make a session and, with a message, run its first turn; wait at most `wait_seconds` for it.

        Raises:
            PublicError: of many kinds; then no session was made.
        """
        if session_id is not None:
            check_session_id(session_id)
        check_message(request.message)
        known = await self._known(session_id)
        if known is not None and session_id is not None:
            return await self._start_again(known, request, wait_seconds, watcher)
        check_depth(self._ancestry, self._limits.depth)
        profile = await self._profile(request)
        if request.message is not None:
            payer = Payer(profile, self._principal)
            await self._budgets.check_begin(
                SessionState(""), payer, message=request.message, allowance=self._allowance
            )
        session_id = session_id or new_session_id()
        profile = replace(profile, ancestry=(*self._ancestry, chain_name(session_id)))
        session = NewSession(
            id=session_id, profile=profile, origin=request.fingerprint, principal=self._principal
        )
        try:
            await self._create(session, request.message)
        except SessionExistsError:
            known = await self._known(session_id)
            if known is None:  # Somebody else's, of whom no more is said than that the id is taken.
                raise
            # The same call sent twice at once: the other one was quicker.
            return await self._start_again(known, request, wait_seconds, watcher)
        # Another process may have deleted a session of this id that is still held here.
        self._logs.forget(session_id)
        self._logs.meet(await self._store.get(session_id))
        self._lists.changed(self._principal)
        if request.message is None:
            return self._watch.report(await self._logs.state(session_id), None)
        await self._budgets.allow(await self._logs.state(session_id), 1, self._allowance)
        return await self._watch.wait(session_id, turn=1, wait_seconds=wait_seconds, watcher=watcher)

    async def send(
        self, session_id: str, message: str | None, *, wait_seconds: float, watcher: Watcher | None = None
    ) -> TurnReport:
        """Add a message, or with None only watch the newest turn; wait at most `wait_seconds` for its end.

        Raises:
            SessionNotFoundError, SessionClosedError, SessionBusyError, BudgetExceededError, InvalidArgumentError:
                then nothing was added.
        """
        check_message(message)
        record = await self._record(session_id)
        await self._expire(session_id)
        if message is None:
            state = await self._logs.state(session_id)
            await self._budgets.allow(state, len(state.turns), self._allowance)
            return await self._watch.wait(
                session_id, turn=len(state.turns), wait_seconds=wait_seconds, watcher=watcher
            )
        check_no_circle(record, self._ancestry)
        await self._watch.delivery(await self._logs.state(session_id), message)
        async with self._room.entry():
            await self._check_turn(record, message)
            submitted = await self._store.submit(session_id, message)
        await self._budgets.allow(await self._logs.state(session_id), submitted.turn, self._allowance)
        report = await self._watch.wait(
            session_id, turn=submitted.turn, wait_seconds=wait_seconds, watcher=watcher
        )
        return replace(report, resent=submitted.outcome == "resent")

    async def approve(
        self,
        session_id: str,
        call_id: str,
        decision: Literal["allow", "deny"],
        *,
        reason: str = "",
        scope: GrantScope = "once",
        wait_seconds: float,
        watcher: Watcher | None = None,
    ) -> TurnReport:
        """Answer a waiting approval and wait for the turn; of several answers the first one counts.

        With another `scope` an `allow` holds for the rest of the session.

        Raises:
            ApprovalNotFoundError: no call of this id was ever put to a person in this session.
        """
        await self._record(session_id)
        state = await self._logs.state(session_id)
        call = state.calls.get(call_id)
        if call is None or call.asked is None:
            waiting = [waits.call.id for waits in state.turn.waiting] if state.turn else []
            known = f"Waiting now: {', '.join(waiting)}." if waiting else "No call waits for approval now."
            raise ApprovalNotFoundError(f"No call {call_id!r} waits for approval in this session. {known}")
        turn = state.steps[call.step].turn
        await self._budgets.allow(state, turn, self._allowance)
        if call.waiting:
            given = ApprovalGiven(call_id, decision, reason, scope)
            if self._clock.now() >= call.asked.expires_at:
                given = expired(call)
            await self._logs.absorb(state, await self._store.append(session_id, turn, [given]))
        # None where the turn ended with the call still waiting: nobody has answered it, and nobody can now.
        counted = call.decision.decision if call.decision else None
        report = await self._watch.wait(session_id, turn=turn, wait_seconds=wait_seconds, watcher=watcher)
        return replace(report, decision=counted)

    async def answer_input(self, session_id: str, event: InputGiven | InputShown) -> None:
        """Write down what a person says to a server's question, or that they were shown it, while it waits.

        Raises:
            SessionNotFoundError: no session of the caller's has this id.
        """
        await self._record(session_id)
        state = await self._logs.state(session_id)
        known = state.inputs.known.get(event.input_id)
        if known is None or known.given is not None or self._clock.now() >= known.asked.expires_at:
            return
        call = state.calls[known.asked.call_id]
        if call.result is None and not (known.shown and isinstance(event, InputShown)):
            turn = state.steps[call.step].turn
            await self._logs.absorb(state, await self._store.append(session_id, turn, [event]))

    async def shown(self, session_id: str, call_ids: Sequence[str], *, dismissed: bool = False) -> None:
        """Write down that a person was asked about calls, and perhaps put the question away; each only once."""
        await self._record(session_id)
        state = await self._logs.state(session_id)
        waiting = {call.call.id: call for call in state.active.waiting} if state.active else {}
        news = [
            ApprovalShown(call_id, dismissed)
            for call_id in call_ids
            if call_id in waiting and waiting[call_id].shown != ApprovalShown(call_id, dismissed)
        ]
        if news and state.active is not None:
            await self._logs.absorb(state, await self._store.append(session_id, state.active.number, news))

    async def cancel(self, session_id: str, *, only: int | None = None) -> TurnReport:
        """Stop the turn that runs, if one does, and return how it ended; the first end in the log counts.

        With `only` no other turn than this one is stopped.
        """
        await self._record(session_id)
        state = await self._logs.state(session_id)
        turn = state.active
        if turn is not None and only in (None, turn.number):
            if not turn.cancel_asked:
                await self._store.append(session_id, turn.number, [CancelAsked()])
            await self._watch.watch(state, turn.number, seconds=CANCEL_SECONDS, watcher=None, to_the_end=True)
            await self._watch.seize(state, turn)
        return self._watch.report(state, state.turns[turn.number - 1] if turn else state.turn)

    async def close(self, session_id: str) -> TurnReport:
        """Cancel what runs and take no more messages. May be repeated.

        Reports the last turn without its error, if it had one: nothing failed about the closing.
        """
        report = await self.cancel(session_id)
        state = await self._logs.state(session_id)
        if not state.closed:
            await self._store.append(session_id, 0, [SessionClosed()])
            self._lists.changed(self._principal)
            await self._tools.release(session_id)
            await self._logs.refresh(state)
        if state.active is not None:
            # A message that came between the cancel and the closing has opened one more turn.
            report = await self.cancel(session_id)
        return replace(report, status="closed", problem=None)

    async def fork(self, session_id: str, *, at_step: int | None) -> TurnReport:
        """A new idle session with the steps up to and including `at_step` (default: the last finished one).

        Raises:
            InvalidArgumentError: there is no such finished step.
        """
        record = await self._record(session_id)
        events = forked_events(await self._store.read(session_id), at_step)
        fork_id = new_session_id()
        profile = replace(record.profile, ancestry=(*self._ancestry, chain_name(fork_id)))
        fork = NewSession(id=fork_id, profile=profile, principal=record.principal, forked_from=session_id)
        async with self._room.entry():
            await self._room.check_session(self._principal)
            await self._store.create(fork, events=events)
        self._lists.changed(self._principal)
        state = await self._logs.state(fork.id)
        return replace(self._watch.report(state, state.turn), forked_from=session_id)

    async def summary(self, session_id: str) -> SessionSummary:
        """The session in figures, with its folded log for a transcript."""
        record = await self._record(session_id)
        state = await self._logs.state(session_id)
        return summarize(record, state, self._tools.status(record.profile.servers))

    async def list(self, *, status: str | None, query: str, limit: int, cursor: str | None) -> SessionPage:
        """A page of sessions with their status, by last update, newest first.

        Raises:
            InvalidArgumentError: the cursor is none of ours.
        """
        asked = PageRequest(self._principal, status=status, query=query, limit=limit, cursor=cursor)
        return await read_page(self._store, self._logs, asked)

    @asynccontextmanager
    async def following(self, session_id: str) -> AsyncGenerator[AsyncIterator[Sequence[Event]]]:
        """What the session's log grows by from now on, by whichever process; the iterator never ends by itself."""
        record = await self._record(session_id)
        async with self._store.tail(session_id, after=record.head) as growth:
            yield growth

    def watching_list(self) -> AbstractContextManager[Bell]:
        """Rings when this process makes or closes a session of the principal's."""
        return self._lists.watched(self._principal)

    async def delivered(self, report: TurnReport) -> None:
        """The report, with a stop reason in it, was sent to a caller who was still there."""
        await self._watch.delivered(report)

    async def _known(self, session_id: str | None) -> SessionRecord | None:
        if session_id is None:
            return None
        try:
            return await self._record(session_id)
        except SessionNotFoundError:
            return None

    async def _expire(self, session_id: str) -> None:
        """Deny what has waited too long: a clock that was set or slept may have kept the turn from noticing."""
        state = await self._logs.state(session_id)
        if state.active is None:
            return
        if late := expired_answers(state.active.waiting, self._clock.now()):
            await self._logs.absorb(state, await self._store.append(session_id, state.active.number, late))

    async def _record(self, session_id: str) -> SessionRecord:
        check_session_id(session_id)
        record = await self._store.get(session_id)
        if record.principal != self._principal:
            raise session_not_found(session_id)
        self._logs.meet(record)
        return record

    async def _create(self, session: NewSession, message: str | None) -> None:
        async with self._room.entry():
            await self._room.check_session(self._principal)
            if message is not None:
                await self._room.check_turn(self._principal)
            await self._store.create(session, message=message)

    async def _start_again(
        self, known: SessionRecord, request: StartRequest, wait_seconds: float, watcher: Watcher | None
    ) -> TurnReport:
        if known.origin != request.fingerprint:
            raise SessionExistsError(
                f"Session {known.id!r} exists and was started with other arguments.",
                hint="Call send_message to go on with it, or start_session with another session_id.",
            )
        return await self.send(known.id, request.message, wait_seconds=wait_seconds, watcher=watcher)

    async def _profile(self, request: StartRequest) -> Profile:
        agent = self._agents.profile(request.agent)
        agent = replace(agent, model=agent.model or self._models.default_reference())
        profile = narrowed(agent, request, self._agents)
        model = await self._models.resolve(profile.model)
        self._models.open_model(model)
        profile = replace(profile, model=model)
        await self._check_price(profile)
        return profile

    async def _check_price(self, profile: Profile) -> None:
        limits_cost = self._budgets.limit_cost(profile, self._allowance)
        if limits_cost and not await self._models.has_price(profile.model):
            raise BudgetExceededError(
                f"The model {profile.model} has no known price, so a budget of cost cannot be held.",
                hint="Choose a model with a known price, or a budget of tokens.",
            )

    async def _check_turn(self, record: SessionRecord, message: str) -> None:
        """Whether a new turn may begin; a message that joins a turn or is sent again needs no room."""
        state = await self._logs.state(record.id)
        turn = state.turn
        if state.closed or state.active is not None:
            return
        if turn is not None and not turn.delivered and turn.messages[-1:] == [message]:
            return
        await self._room.check_turn(self._principal)
        await self._check_price(record.profile)
        payer = Payer(record.profile, record.principal)
        await self._budgets.check_begin(state, payer, message=message, allowance=self._allowance)
