"""Turns as tasks of this process. Knows nothing of what a turn does; the claim in the store decides who runs it."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
from anyio.abc import TaskGroup

from agent_mcp.errors import AgentMcpError
from agent_mcp.sessions.ports import Dispatcher, SessionStore

log = logging.getLogger(__name__)

Run = Callable[[str, int, Dispatcher], Awaitable[None]]

SWEEP_SECONDS = 1.0
"""How often turns are looked for whose owner died or that nobody took."""


MAX_PAUSE_SECONDS = 30.0
"""A turn that could not go on, since nothing can be stored or the like, is left alone ever longer, up to this: each
try may ask the model again."""


class _Failures(NamedTuple):
    """How often in a row a turn could not go on, and until when no sweep tries it again."""

    times: int
    pause_ends_at: float


def _one_more(before: _Failures | None) -> _Failures:
    times = 1 if before is None else before.times + 1
    return _Failures(times, anyio.current_time() + min(SWEEP_SECONDS * 2**times, MAX_PAUSE_SECONDS))


class LocalDispatcher:
    """Runs each enqueued turn as a task, once at a time in this process."""

    def __init__(self, group: TaskGroup, run: Run) -> None:
        self._group = group
        self._run = run
        self._running: set[tuple[str, int]] = set()
        self._failures: dict[tuple[str, int], _Failures] = {}

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
            self._failures[(session_id, turn)] = _one_more(self._failures.get((session_id, turn)))
        else:
            self._failures.pop((session_id, turn), None)
        finally:
            self._running.discard((session_id, turn))

    async def sweep(self, store: SessionStore) -> None:
        """Enqueue every turn that could be run now; who asks for one by `enqueue` need not wait for its pause."""
        turns = [(turn.session_id, turn.turn) for turn in await store.unfinished()]
        self._failures = {turn: self._failures[turn] for turn in turns if turn in self._failures}
        for turn in turns:
            failures = self._failures.get(turn)
            if failures is None or anyio.current_time() >= failures.pause_ends_at:
                self.enqueue(*turn)

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
