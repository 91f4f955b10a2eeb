"""Turns as tasks of this process. Knows nothing of what a turn does; the claim in the store decides who runs it."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from agent_mcp.errors import AgentMcpError
from agent_mcp.sessions.ports import Dispatcher, SessionStore

log = logging.getLogger(__name__)

Run = Callable[[str, int, Dispatcher], Awaitable[None]]

SWEEP_SECONDS = 1.0
"""How often turns are looked for whose owner died or that nobody took."""


class LocalDispatcher:
    """Runs each enqueued turn as a task, once at a time in this process."""

    def __init__(self, group: TaskGroup, run: Run) -> None:
        self._group = group
        self._run = run
        self._running: set[tuple[str, int]] = set()

    def enqueue(self, session_id: str, turn: int) -> None:
        """Have the turn run soon; repeating it is harmless."""
        if (session_id, turn) not in self._running:
            self._running.add((session_id, turn))
            self._group.start_soon(self._run_one, session_id, turn)

    async def _run_one(self, session_id: str, turn: int) -> None:
        try:
            await self._run(session_id, turn, self)
        except Exception as error:
            # One turn's failure is no other's; the sweep comes back to one that could not be written to.
            log.error("session %s: turn %d could not go on", session_id, turn, exc_info=error)
        finally:
            self._running.discard((session_id, turn))

    async def sweep(self, store: SessionStore) -> None:
        """Enqueue every turn that could be run now."""
        for turn in await store.unfinished():
            self.enqueue(turn.session_id, turn.turn)

    async def sweep_forever(self, store: SessionStore) -> None:
        """Sweep at once and then each second."""
        while True:
            try:
                await self.sweep(store)
            except AgentMcpError as error:
                log.warning("cannot look for unfinished turns: %s", error)
            await anyio.sleep(SWEEP_SECONDS)


@asynccontextmanager
async def open_dispatcher(store: SessionStore, run: Run) -> AsyncGenerator[LocalDispatcher]:
    """A dispatcher whose turns end with this context; ending it writes nothing, they go on at the next start."""
    async with anyio.create_task_group() as group:
        dispatcher = LocalDispatcher(group, run)
        group.start_soon(dispatcher.sweep_forever, store)
        yield dispatcher
        group.cancel_scope.cancel()
