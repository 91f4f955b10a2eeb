"""A store that is looked at: appends are timed and counted, and messages keep the trace they came in.

Only four of the port's methods are of interest, so the rest is handed through as it is.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from agent_mcp.observability.instruments import Instruments
from agent_mcp.observability.propagation import current
from agent_mcp.sessions.events import Event, EventData
from agent_mcp.sessions.ports import Claim, NewSession, SessionStore, Submitted


def watched(store: SessionStore, instruments: Instruments) -> SessionStore:
    """The same store, with what is done to its log in the instruments."""
    return cast("SessionStore", _Watched(store, instruments))


class _Watched:
    def __init__(self, store: SessionStore, instruments: Instruments) -> None:
        self._store = store
        self._instruments = instruments

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def create(
        self,
        session: NewSession,
        *,
        message: str | None = None,
        trace: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        await self._store.create(session, message=message, trace=trace or current(), **more)

    async def submit(
        self, session_id: str, message: str, *, trace: Mapping[str, str] | None = None
    ) -> Submitted:
        return await self._store.submit(session_id, message, trace=trace or current())

    async def append(
        self, session_id: str, turn: int, events: Sequence[EventData], **more: Any
    ) -> Sequence[Event]:
        began = time.perf_counter()
        stored = await self._store.append(session_id, turn, events, **more)
        self._count(began, events)
        return stored

    async def end_turn(self, claim: Claim, events: Sequence[EventData], **more: Any) -> bool:
        began = time.perf_counter()
        ended = await self._store.end_turn(claim, events, **more)
        self._count(began, events if ended else ())
        return ended

    def _count(self, began: float, events: Sequence[EventData]) -> None:
        self._instruments.append_seconds.record(time.perf_counter() - began)
        self._instruments.appended_events.add(len(events))
