"""Turns as jobs of procrastinate, which hands them to workers on many machines. Knows nothing of what a turn does.

The log stays the truth. A job says only "run turn n of session s"; the claim decides who does, and a job too many
finds nothing to claim. A job too few is found by the sweeps, which every replica runs outside the job system: turns
whose owner is gone, and jobs whose worker is, at each heartbeat; turns that nobody took every 30 s.
"""

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from procrastinate.exceptions import ConnectorException

from agent_mcp.config.schema import WorkerSettings
from agent_mcp.dispatch.jobs_schema import check_jobs_schema, open_connector
from agent_mcp.dispatch.turn_queue import Turn, TurnQueue
from agent_mcp.dispatch.workplace import Bench, Run, TurnStore, Workplace
from agent_mcp.errors import AgentMcpError

log = logging.getLogger(__name__)

QUEUED_SWEEP_SECONDS = 30.0
"""How often turns are looked for whose job was lost before anybody took it."""
_CONNECTIONS = 4
_PAUSE_SECONDS = 1.0
_DAY_SECONDS = 24 * 3600


class QueueDispatcher:
    """Queues turns, and looks for those that lost their place."""

    def __init__(self, queue: TurnQueue, store: TurnStore, bench: Bench, group: TaskGroup) -> None:
        self._queue = queue
        self._store = store
        self._bench = bench
        self._group = group
        self._queueing: set[Turn] = set()

    def enqueue(self, session_id: str, turn: int) -> None:
        """Have the turn run soon, here or elsewhere; repeating it is harmless."""
        wanted = session_id, turn
        if wanted not in self._queueing and not self._bench.works_on(wanted):
            self._queueing.add(wanted)
            self._group.start_soon(self._put, wanted)

    async def sweep(self, *, stalled_seconds: float, queued: bool) -> None:
        """Find work whose owner or worker is gone; with `queued` also what nobody took.

        Raises:
            StoreError, ConnectorException: the database can't be reached.
        """
        await self._queue.replace_stalled(stalled_seconds)
        found = [
            (ref.session_id, ref.turn)
            for ref in await self._store.unfinished()
            if queued or ref.status == "running"
        ]
        lost = [turn for turn in found if not self._bench.works_on(turn)]
        known = await self._queue.turns() if lost else set[Turn]()
        for session_id, turn in lost:
            if (session_id, turn) not in known:
                self.enqueue(session_id, turn)

    async def sweep_forever(self, settings: WorkerSettings) -> None:
        """Sweep at each heartbeat, from now on."""
        queued_at = -QUEUED_SWEEP_SECONDS
        while True:
            queued = time.monotonic() - queued_at >= QUEUED_SWEEP_SECONDS
            try:
                await self.sweep(stalled_seconds=settings.stalled_seconds, queued=queued)
                if queued:
                    queued_at = time.monotonic()
                    await self._queue.jobs.forget_workers(_DAY_SECONDS)
            except (AgentMcpError, ConnectorException) as error:
                log.warning("cannot look for unfinished turns: %s", error.__cause__ or error)
            await anyio.sleep(settings.heartbeat_seconds)

    async def _put(self, turn: Turn) -> None:
        try:
            while True:
                try:
                    return await self._queue.put(*turn)
                except ConnectorException as error:
                    log.info("session %s: turn %d cannot be queued: %s", *turn, error.__cause__)
                await anyio.sleep(_PAUSE_SECONDS)
        finally:
            self._queueing.discard(turn)


@asynccontextmanager
async def open_queue_dispatcher(
    url: str, store: TurnStore, run: Run, *, settings: WorkerSettings, works: bool
) -> AsyncGenerator[QueueDispatcher]:
    """A dispatcher on the database at `url`; with `works` its turns are run here too, until the context ends. Then
    what is not done is handed to others; ending it writes nothing into any log.

    Raises:
        StoreError: the queue's schema is missing, older or newer.
    """
    bench = Bench(run)
    async with open_connector(url, connections=_CONNECTIONS) as connector:
        await check_jobs_schema(connector)
        queue = TurnQueue(connector, bench.work)
        workplace = Workplace(queue, bench, settings)
        async with anyio.create_task_group() as group:
            dispatcher = QueueDispatcher(queue, store, bench, group)
            group.start_soon(dispatcher.sweep_forever, settings)
            if works:
                group.start_soon(workplace.stay)
            try:
                yield dispatcher
            finally:
                if works:
                    await workplace.leave(store)
                group.cancel_scope.cancel()
