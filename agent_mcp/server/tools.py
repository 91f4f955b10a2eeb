"""What each of the eight published tools does with its arguments: which use case it calls, and what it returns.

Whatever a tool raises on purpose becomes a result of that tool's own schema; nothing here knows a transport.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult

from agent_mcp.errors import ApprovalOutsideError, InternalError, PublicError
from agent_mcp.server import arguments as args
from agent_mcp.server import results
from agent_mcp.server.asking import Asker, Retry
from agent_mcp.server.hosts import HostWait
from agent_mcp.server.progress import ProgressReporter, Report, reporting
from agent_mcp.server.receipts import Deed, do_now
from agent_mcp.server.relaying import InputChannel, Relay, relaying
from agent_mcp.server.settling import Answers, settle
from agent_mcp.sessions.chain import BILL_KEY, session_of_call, to_bill
from agent_mcp.sessions.live import LiveFeed
from agent_mcp.sessions.log import CallState, SessionState, SessionStatus
from agent_mcp.sessions.ports import Clock
from agent_mcp.sessions.profile import Caps
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.service import SessionService, Watcher
from agent_mcp.sessions.start import StartRequest, new_session_id
from agent_mcp.sessions.transcript import cut
from agent_mcp.sessions.waiting import Waits

log = logging.getLogger(__name__)

ECHOED_CHARACTERS = 200
"""An id that is none is echoed at most so long."""


Notify = Callable[[Sequence[CallState]], None]


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call brings with it besides its arguments."""

    wait: HostWait
    """How long this host's calls wait."""
    report: Report | None
    """Sends progress; None if the host did not ask for any."""
    asker: Asker | None = None
    """Puts waiting approvals to the host's user; None if the host can't."""
    channel: InputChannel | None = None
    """How servers' questions are put to the host's user; None: not by this call."""
    retry: Retry | None = None
    """What the call brings back of the one that it retries."""
    notify: Notify | None = None
    """Tells the person at this machine of calls that nobody could be asked about; None: they are not told."""
    outside: bool = False
    """Approvals are answered outside of hosts alone."""
    is_gone: Callable[[], bool] = lambda: False
    """Whether nobody is there any more to read the result."""
    when_sent: Callable[[Deed], Awaitable[None]] = do_now
    """Has something done once the result has been sent to whoever called."""
    call_key: str | None = None
    """The call's own name, which it keeps when it is sent again; other agents give their calls one."""
    wants_bill: bool = False
    """Whether it is another agent's call, whose budget pays."""


Result = CallToolResult | InputRequiredResult
Handler = Callable[[Mapping[str, Any], Caller], Awaitable[Result]]


class PublishedTools:
    """The tools as a host calls them."""

    def __init__(
        self, service: SessionService, *, feed: LiveFeed, clock: Clock, waits: Waits | None = None
    ) -> None:
        self._service = service
        self._feed = feed
        self._clock = clock
        self._waits = waits or Waits()
        self._handlers: dict[str, Handler] = {
            "start_session": self.start_session,
            "send_message": self.send_message,
            "summary": self.summary,
            "list_sessions": self.list_sessions,
            "approve": self.approve,
            "cancel": self.cancel,
            "fork_session": self.fork_session,
            "close_session": self.close_session,
        }

    def for_principal(
        self, principal: str, *, ancestry: tuple[str, ...] = (), allowance: Caps | None = None
    ) -> "PublishedTools":
        """The same tools on the sessions of one principal alone; `ancestry`: the sessions that the call comes from,
        `allowance`: what they let it spend."""
        service = self._service.for_principal(principal).under(ancestry, allowance)
        return PublishedTools(service, feed=self._feed, clock=self._clock, waits=self._waits)

    async def call(self, name: str, given: Mapping[str, Any], caller: Caller) -> Result:
        """Run a tool; every failure is a result.

        Raises:
            KeyError: there is no such tool.
        """
        handler, given = self._handlers[name], args.cleaned(given)
        try:
            return await handler(given, caller)
        except PublicError as error:
            return await self._refused(name, given, error)
        except Exception:
            log.exception("%s failed", name)
            return await self._refused(name, given, InternalError(name))

    async def start_session(self, given: Mapping[str, Any], caller: Caller) -> Result:
        """Make a session and run its first turn."""
        start = args.parse(args.StartSession, given)
        request = StartRequest(
            agent=start.agent,
            message=start.message,
            model=start.model,
            instructions=start.instructions,
            servers=None if start.servers is None else tuple(start.servers),
            tools=None if start.tools is None else tuple(start.tools),
            max_steps=start.max_steps,
            budget=None if start.budget is None else start.budget.budget,
        )
        session_id = start.session_id
        if session_id is None:
            session_id = caller.retry.session_id if caller.retry is not None else _new_id(caller)

        def started(wait_seconds: float, watcher: Watcher | None) -> Awaitable[TurnReport]:
            return self._service.start(
                request, session_id=session_id, wait_seconds=wait_seconds, watcher=watcher
            )

        return await self._turn(session_id, start.wait_seconds, caller, started)

    async def send_message(self, given: Mapping[str, Any], caller: Caller) -> Result:
        """Add a message, or keep waiting."""
        send = args.parse(args.SendMessage, given)

        def sent(wait_seconds: float, watcher: Watcher | None) -> Awaitable[TurnReport]:
            return self._service.send(
                send.session_id, send.message, wait_seconds=wait_seconds, watcher=watcher
            )

        return await self._turn(send.session_id, send.wait_seconds, caller, sent)

    async def approve(self, given: Mapping[str, Any], caller: Caller) -> Result:
        """Answer a waiting approval."""
        approve = args.parse(args.Approve, given)
        if caller.outside:
            raise ApprovalOutsideError(approve.call_id)

        async def approved(wait_seconds: float, watcher: Watcher | None) -> TurnReport:
            report = await self._service.approve(
                approve.session_id,
                approve.call_id,
                approve.decision,
                reason=approve.reason or "",
                scope=approve.scope,
                wait_seconds=wait_seconds,
                watcher=watcher,
            )
            if report.decision == approve.decision:
                return report
            told = f"{approve.call_id} was answered before: {report.decision}. The first answer counts."
            if report.decision is None:
                told = f"{approve.call_id} no longer waits: its turn ended before anybody answered."
            return replace(report, decision=report.decision or "deny", warnings=[told, *report.warnings])

        return await self._turn(approve.session_id, approve.wait_seconds, caller, approved)

    async def cancel(self, given: Mapping[str, Any], caller: Caller) -> CallToolResult:
        """Stop the running turn."""
        cancelled = await self._service.cancel(args.parse(args.OneSession, given).session_id)
        return await self._delivered(cancelled, caller)

    async def fork_session(self, given: Mapping[str, Any], caller: Caller) -> CallToolResult:
        """Go on from an earlier step in a new session."""
        fork = args.parse(args.ForkSession, given)
        forked = await self._service.fork(fork.session_id, at_step=fork.at_step)
        return await self._delivered(forked, caller)

    async def close_session(self, given: Mapping[str, Any], caller: Caller) -> CallToolResult:
        """Take no more messages."""
        closed = await self._service.close(args.parse(args.OneSession, given).session_id)
        return await self._delivered(closed, caller)

    async def summary(self, given: Mapping[str, Any], caller: Caller) -> CallToolResult:
        """Figures and transcript."""
        wanted = args.parse(args.Summary, given)
        summary = await self._service.summary(wanted.session_id)
        return results.summary_result(summary, detail=wanted.detail, offset=wanted.offset, limit=wanted.limit)

    async def list_sessions(self, given: Mapping[str, Any], caller: Caller) -> CallToolResult:
        """Sessions by last update."""
        wanted = args.parse(args.ListSessions, given)
        found = await self._service.list(
            status=wanted.status, query=wanted.query or "", limit=wanted.limit, cursor=wanted.cursor
        )
        return results.sessions_result(found)

    async def _turn(
        self,
        session_id: str,
        asked_seconds: float | None,
        caller: Caller,
        work: Callable[[float, Watcher | None], Awaitable[TurnReport]],
    ) -> Result:
        wait_seconds = caller.wait.applied(asked_seconds)
        until = self._clock.monotonic() + wait_seconds
        next_round = caller.retry is not None and caller.retry.session_id == session_id
        if caller.retry is not None and next_round:
            for given in caller.retry.inputs:
                await self._service.answer_input(session_id, given)
        # A call that does not wait does not ask either.
        channel = caller.channel if wait_seconds > 0 else None
        async with relaying(channel, service=self._service, clock=self._clock) as relay:
            if caller.report is None:
                waited = await work(wait_seconds, relay.watch)
                report = await self._asked(waited, caller, until=until, relay=relay, watcher=relay.watch)
            else:
                reporter = ProgressReporter(caller.report, clock=self._clock)

                def watch(state: SessionState) -> bool:
                    reporter.watch(state)
                    return relay.watch(state)

                async with reporting(reporter, self._feed, session_id):
                    waited = await work(wait_seconds, watch)
                    report = await self._asked(waited, caller, until=until, relay=relay, watcher=watch)
        if isinstance(report, InputRequiredResult):
            return report
        if next_round:
            # The host brings answers to our questions: it is the same call still, not sent again.
            report = replace(report, resent=False)
        waits = results.Waits(wait_seconds, asked_seconds, caller.wait.cap_seconds)
        return await self._delivered(report, caller, waits)

    async def _asked(
        self, report: TurnReport, caller: Caller, *, until: float, relay: Relay, watcher: Watcher
    ) -> TurnReport | InputRequiredResult:
        """Put what waits to the host's user, and wait on with the answers, until the time of the call is up."""
        answers = caller.retry.answers if caller.retry is not None else None
        if (required := await relay.required(report.session_id, report.inputs)) is not None:
            return required
        while report.status == "needs_approval" and caller.asker is not None:
            left = until - self._clock.monotonic()
            if answers is None and left > 0:
                answers = await self._ask(report, caller.asker, left)
            if isinstance(answers, InputRequiredResult):
                return answers
            if not answers or not await settle(self._service, report.session_id, answers):
                break
            left = max(0.0, until - self._clock.monotonic())
            report = await self._service.send(report.session_id, None, wait_seconds=left, watcher=watcher)
            if (required := await relay.required(report.session_id, report.inputs)) is not None:
                return required
            answers = None
        return report

    async def _ask(
        self, report: TurnReport, asker: Asker, seconds: float
    ) -> Answers | InputRequiredResult | None:
        """Ask, and have it in the log that a person was asked, if they have not decided at once."""
        asked: Answers | InputRequiredResult | None = {}
        with self._waits.open():
            asked = await asker.ask(report.session_id, report.approvals, seconds=seconds)
        if asked is not None and (isinstance(asked, InputRequiredResult) or not asked):
            await self._service.shown(report.session_id, [call.call.id for call in report.approvals])
        return asked

    async def _delivered(
        self, report: TurnReport, caller: Caller, waits: results.Waits | None = None
    ) -> CallToolResult:
        if report.approvals and caller.notify is not None:
            caller.notify([call for call in report.approvals if call.shown is None])
        result = results.turn_result(report, waits=waits, outside=caller.outside)
        if caller.wants_bill:
            result.meta = {BILL_KEY: to_bill(f"{report.session_id}/{report.turn}", report.spent)}
        if not caller.is_gone():
            await caller.when_sent(partial(self._service.delivered, report))
        return result

    async def _refused(self, name: str, given: Mapping[str, Any], error: PublicError) -> CallToolResult:
        if name == "list_sessions":
            return results.bare_error(error, sessions=[], next_cursor=None)
        session_id = given.get("session_id")
        named = cut(session_id, ECHOED_CHARACTERS) if isinstance(session_id, str) else None
        if name == "summary":
            return results.bare_error(error, session_id=named)
        return results.error_result(error, session_id=named, status=await self._status(named))

    async def _status(self, session_id: str | None) -> SessionStatus | None:
        """The status of a session that may not exist, for a refusal: this must not fail in its turn."""
        try:
            return None if session_id is None else (await self._service.summary(session_id)).status
        except Exception:  # the same that made the call fail, and in the log already
            return None


def _new_id(caller: Caller) -> str:
    """Of a call that has a name of its own, always the same: so its caller can stop what it does not know yet."""
    return new_session_id() if caller.call_key is None else session_of_call(caller.call_key)
