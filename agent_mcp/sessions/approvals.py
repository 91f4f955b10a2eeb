"""Waiting approvals over all sessions, for whoever operates the store: no principal, no turn is run.

An answer is only written into the log; the process that runs the turn reads it there. Knows no caller that waits.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agent_mcp.errors import ApprovalNotFoundError
from agent_mcp.sessions.events import ApprovalGiven
from agent_mcp.sessions.log import CallState, SessionState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.ports import SessionListing, SessionStore

_PAGE = 200
_SEE = "`agent-mcp approvals` shows what waits"


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A call that a person must decide about."""

    session_id: str
    agent: str
    call: CallState

    @property
    def expires_at(self) -> float:
        """When it counts as denied; seconds since the epoch."""
        return self.call.asked.expires_at if self.call.asked else 0.0


async def waiting_calls(store: SessionStore, logs: SessionLogs) -> Sequence[WaitingCall]:
    """The waiting calls of all sessions, those that expire first first."""
    waiting = [
        WaitingCall(line.id, line.agent, call)
        async for line, state in _active(store, logs)
        for call in (state.active.waiting if state.active else ())
    ]
    return sorted(waiting, key=lambda each: each.expires_at)


async def answer(store: SessionStore, logs: SessionLogs, given: ApprovalGiven, *, now: float) -> CallState:
    """Write the answer into the log of the session whose call it is; `now` in seconds since the epoch.

    Raises:
        ApprovalNotFoundError: no call of this id waits: it is unknown, answered, expired, or its turn is over.
    """
    state = await _state_of(given.call_id, store, logs)
    call = state.calls[given.call_id]
    if not call.waiting or call.asked is None:
        raise _not_waiting(call)
    if now >= call.asked.expires_at:
        raise ApprovalNotFoundError(f"the request for call {given.call_id} has expired", hint=_SEE)
    stored = await store.append(state.id, state.steps[call.step].turn, [given])
    await logs.absorb(state, stored)
    # Another answer, or the end of the turn, may have come between the look and the append.
    if call.decision is None or call.decision != given:
        raise _not_waiting(call)
    return call


async def _active(
    store: SessionStore, logs: SessionLogs
) -> AsyncIterator[tuple[SessionListing, SessionState]]:
    """The sessions with a turn that has not ended; only of these the log is read."""
    before: tuple[float, str] | None = None
    while page := await store.list(principal=None, status="unfinished", limit=_PAGE, before=before):
        for line in page:
            yield line, await logs.state(line.id)
        before = page[-1].updated_at, page[-1].id


async def _state_of(call_id: str, store: SessionStore, logs: SessionLogs) -> SessionState:
    async for _, state in _active(store, logs):
        if call_id in state.calls:
            return state
    message = f"no call {call_id} waits for approval: there is none of this id, or its turn has ended"
    raise ApprovalNotFoundError(message, hint=_SEE)


def _not_waiting(call: CallState) -> ApprovalNotFoundError:
    if call.decision is not None:
        said: Literal["allowed", "denied"] = "allowed" if call.decision.decision == "allow" else "denied"
        return ApprovalNotFoundError(
            f"call {call.call.id} was {said} already: the first answer counts", hint=_SEE
        )
    return ApprovalNotFoundError(f"call {call.call.id} does not wait for approval ({call.status})", hint=_SEE)
