"""Whether there is room for one more session or turn, over all and for one principal. Refuses; waits for nothing."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from agent_mcp.errors import SessionBusyError
from agent_mcp.sessions.ports import SessionStore


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


class Room:
    """Looks before something new is made. What another process makes in that instant is not seen."""

    def __init__(self, store: SessionStore, limits: ServiceLimits) -> None:
        self._store = store
        self._limits = limits
        self._entry = anyio.Lock()

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
        """
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
        """
        limit = self._limits.running_turns
        if await self._store.count_unfinished() >= limit:
            raise SessionBusyError(
                f"{limit} turns run or wait already, which is the limit.",
                hint="Wait for one to end, cancel one, or raise server.max_running_turns in the config.",
            )
        own = self._limits.running_turns_each
        if own is not None and await self._store.count_unfinished(principal) >= own:
            raise SessionBusyError(
                f"{own} turns of yours run or wait already, which is the limit.",
                hint="Wait for one to end, cancel one, or raise server.limits.running_turns in the config.",
            )
