"""The folded logs of the sessions in use, each folded once and shared by all who look at it.

A state lives as long as somebody holds it; the most recently used are held here, so that a follow-up does not
read its whole past again. An idle session that fell out of them costs no memory.
"""

from collections import OrderedDict
from collections.abc import Sequence
from weakref import WeakValueDictionary

from anyio.lowlevel import checkpoint

from agent_mcp.sessions.events import Event
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.ports import SessionListing, SessionRecord, SessionStore
from agent_mcp.sessions.veil import Hide

EVENTS_AT_ONCE = 1_000
"""So many are folded without a break, in about 5 ms."""


class SessionLogs:
    """States by session id, brought up to date when asked for."""

    def __init__(
        self, store: SessionStore, *, keep: int = 32, keep_events: int = 20_000, hide: Hide = str
    ) -> None:
        """`keep` states at most, and only while they stand for at most `keep_events` events together; `hide` takes
        secrets out of what people see of calls."""
        self._store = store
        self._hide = hide
        self._keep = keep
        self._keep_events = keep_events
        self._states: WeakValueDictionary[str, SessionState] = WeakValueDictionary()
        self._recent: OrderedDict[str, SessionState] = OrderedDict()

    async def state(self, session_id: str) -> SessionState:
        """The state as of now. An unknown session has an empty one."""
        state = self._held(session_id)
        await self.refresh(state)
        return state

    async def refresh(self, state: SessionState) -> None:
        """Read what is new in the store."""
        events = await self._store.read(state.id, after=state.seq)
        for start in range(0, len(events), EVENTS_AT_ONCE):
            if start:
                # A long log takes a second to fold: others must have their turn. Any beginning of it is a true state.
                await checkpoint()
            state.absorb(events[start : start + EVENTS_AT_ONCE])

    async def absorb(self, state: SessionState, events: Sequence[Event]) -> None:
        """Apply events that somebody has at hand; a gap before them is read from the store."""
        if not state.absorb(events):
            await self.refresh(state)

    def meet(self, session: SessionRecord | SessionListing) -> None:
        """This is the session as the store has it: what is held of a deleted one that had its id is forgotten."""
        state = self._held(session.id)
        if state.created_at not in (None, session.created_at):
            self.forget(session.id)
            state = self._held(session.id)
        state.created_at = session.created_at

    def forget(self, session_id: str) -> None:
        """The session was deleted."""
        self._recent.pop(session_id, None)
        self._states.pop(session_id, None)

    def _held(self, session_id: str) -> SessionState:
        state = self._states.get(session_id)
        if state is None:
            state = self._states[session_id] = SessionState(session_id, hide=self._hide)
        self._recent[session_id] = state
        self._recent.move_to_end(session_id)
        self._trim()
        return state

    def _trim(self) -> None:
        while len(self._recent) > 1 and (
            len(self._recent) > self._keep or sum(s.seq for s in self._recent.values()) > self._keep_events
        ):
            self._recent.popitem(last=False)
