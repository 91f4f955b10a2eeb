"""Whether there is room for one more session or turn, over all and for one principal. Refuses; waits for nothing."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from agent_mcp.errors import SessionBusyError, StoreError
from agent_mcp.sessions.ports import Clock, SessionStore
from agent_mcp.sessions.upkeep import StoreSize

SIZE_SECONDS = 2.0
"""How old what is known of the store's size may be: counting takes milliseconds where there is much."""
_PRUNE = "`agent-mcp sessions prune` removes old ones"


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Caps over the sessions of a store; None: no limit of its own."""

    running_turns: int = 256
    """Turns queued or running at once, of all principals."""
    depth: int = 0
    """How many agent-mcp processes stand above this one."""
    running_turns_each: int | None = None
    """Turns queued or running at once, of one principal."""
    sessions_each: int | None = None
    """Sessions of one principal that are not closed."""
    stored_sessions: int | None = None
    """Sessions in the store, closed ones too."""
    store_bytes: int | None = None
    """What the store may take on the disk."""


class Room:
    """Looks before something new is made. What another process makes in that instant is not seen."""

    def __init__(self, store: SessionStore, limits: ServiceLimits, clock: Clock) -> None:
        self._store = store
        self._limits = limits
        self._entry = anyio.Lock()
        self._clock = clock
        self._size: StoreSize | None = None
        self._sized_at = 0.0

    @asynccontextmanager
    async def entry(self) -> AsyncGenerator[None]:
        """Hold this from the look until what was looked for is made, so that two can't take the same last place."""
        if self._limits.running_turns_each is None and self._limits.sessions_each is None:
            yield  # Over all principals a few too many do no harm, and waiting in line would.
            return
        async with self._entry:
            yield

    async def check_session(self, principal: str) -> None:
        """Whether this principal may have one more session.

        Raises:
            SessionBusyError: it may not.
            StoreError: the store is full.
        """
        await self._check_store(new_sessions=1)
        limit = self._limits.sessions_each
        if limit is not None and await self._store.count_open(principal) >= limit:
            raise SessionBusyError(
                f"You have {limit} open sessions, which is the limit.",
                hint="Close one with close_session, or raise server.limits.sessions in the config.",
            )

    async def check_turn(self, principal: str) -> None:
        """Whether one more turn may begin.

        Raises:
            SessionBusyError: it may not.
            StoreError: the store is full.
        """
        await self._check_store()
        limit = self._limits.running_turns
        if await self._store.count_unfinished() >= limit:
            raise SessionBusyError(
                f"{limit} turns run or wait already, which is the limit.",
                hint="Wait for one to end, answer or cancel one, or raise server.max_running_turns in the config.",
            )
        own = self._limits.running_turns_each
        if own is not None and await self._store.count_unfinished(principal) >= own:
            raise SessionBusyError(
                f"{own} turns of yours run or wait already, which is the limit.",
                hint="Wait for one to end, answer or cancel one, or raise server.limits.running_turns in the config.",
            )

    async def _check_store(self, *, new_sessions: int = 0) -> None:
        """Whether the store may grow. Turns that run are not asked: they must be able to end."""
        most_sessions, most_bytes = self._limits.stored_sessions, self._limits.store_bytes
        if most_sessions is None and most_bytes is None:
            return
        size = await self._known_size()
        if most_bytes is not None and size.used_bytes >= most_bytes:
            raise StoreError(
                f"The store holds {size.used_bytes} bytes, and {most_bytes} is the limit.",
                hint=f"{_PRUNE}; or raise server.max_store_bytes in the config.",
            )
        if new_sessions and most_sessions is not None and size.sessions + new_sessions > most_sessions:
            raise SessionBusyError(
                f"The store holds {size.sessions} sessions, which is the limit.",
                hint=f"{_PRUNE}; or raise server.max_sessions in the config.",
            )
        self._size = StoreSize(size.sessions + new_sessions, size.used_bytes)

    async def _known_size(self) -> StoreSize:
        now = self._clock.monotonic()
        if self._size is None or now - self._sized_at >= SIZE_SECONDS:
            self._size, self._sized_at = await self._store.size(), now
        return self._size
