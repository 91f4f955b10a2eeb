"""Where a process works on turns: those that run, the worker of procrastinate that brings them, and the end of both.

Knows no queue's rules and not what a turn does.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker

from agent_mcp.config.schema import WorkerSettings
from agent_mcp.dispatch.turn_queue import Turn, TurnQueue
from agent_mcp.sessions.ports import Dispatcher, SessionStore

log = logging.getLogger(__name__)

HAND_BACK_SECONDS = 1.5
"""For handing back what still runs at the end; what is not is found when our lease is over."""
_PAUSE_SECONDS = 1.0

Run = Callable[[str, int, Dispatcher], Awaitable[None]]


class TurnStore(SessionStore, Protocol):
    """A store whose turns are run from a queue."""

    async def resign(self) -> None:
        """Have the turns that this process runs be free from now on."""
        ...


class Bench:
    """The turns that this process works on, one job each."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._scopes: dict[Turn, anyio.CancelScope] = {}
        self._interrupted: set[Turn] = set()

    def works_on(self, turn: Turn) -> bool:
        """Whether it runs here now."""
        return turn in self._scopes

    async def work(self, session_id: str, turn: int) -> None:
        """Run the turn, and what it opens in the same session, which no other job could begin before this one ends."""
        following: int | None = turn
        while following is not None and not self.works_on((session_id, following)):
            following = await self._work_on((session_id, following))

    def interrupt(self) -> None:
        """Stop all that runs, for others to go on with."""
        for scope in self._scopes.values():
            scope.cancel()

    @property
    def interrupted(self) -> frozenset[Turn]:
        """What was stopped before its end."""
        return frozenset(self._interrupted)

    async def _work_on(self, turn: Turn) -> int | None:
        opened = _Opened(*turn)
        with anyio.CancelScope() as scope:
            self._scopes[turn] = scope
            try:
                await self._run(*turn, opened)
            except Exception as error:
                # One turn's failure is no other's; the job comes back to one that could not be written to.
                log.error("session %s: turn %d could not go on", *turn, exc_info=error)
                raise
            finally:
                del self._scopes[turn]
        if scope.cancelled_caught:
            self._interrupted.add(turn)
            return None
        return opened.turn


class _Opened:
    """Notes the turn that a turn opens in its own session: a job of its own would wait for this one's end."""

    def __init__(self, session_id: str, turn: int) -> None:
        self._session_id = session_id
        self._after = turn
        self.turn: int | None = None

    def enqueue(self, session_id: str, turn: int) -> None:
        """See `Dispatcher`."""
        if session_id == self._session_id and turn > self._after:
            self.turn = turn


class Workplace:
    """Keeps a worker of procrastinate going, and hands back what it has when it is to end."""

    def __init__(self, queue: TurnQueue, bench: Bench, settings: WorkerSettings) -> None:
        self._queue = queue
        self._bench = bench
        self._settings = settings
        self._worker: Worker | None = None
        self._scope = anyio.CancelScope(shield=True)
        self._left = anyio.Event()

    async def stay(self) -> None:
        """Work until `leave`. Nothing else ends it: a job that is cancelled half-way would not be handed back."""
        with self._scope:
            while not self._queue.jobs.ending:
                self._worker = self._queue.worker(self._settings)
                try:
                    await self._worker.run()
                except ConnectorException as error:
                    log.warning("the worker lost its database and begins anew: %s", error.__cause__)
                    await anyio.sleep(_PAUSE_SECONDS)
        self._left.set()

    async def leave(self, store: TurnStore) -> None:
        """Stop what runs and hand it back, as far as that is quickly done."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(HAND_BACK_SECONDS):
            self._queue.jobs.ending = True
            self._bench.interrupt()
            if self._worker is not None:
                self._worker.stop()
            await self._left.wait()
            # Only now: whoever takes one of these turns must find it free.
            await store.resign()
            async with anyio.create_task_group() as group:
                for turn in self._bench.interrupted:
                    group.start_soon(self._hand_back, turn)
        self._scope.cancel()

    async def _hand_back(self, turn: Turn) -> None:
        try:
            await self._queue.put(*turn)
        except ConnectorException as error:
            log.info("session %s: turn %d is left to the others: %s", *turn, error.__cause__)
