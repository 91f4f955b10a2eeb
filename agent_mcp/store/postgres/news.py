"""Hearing of what other processes write, and telling them: one connection that listens, and a poll for what it cannot
hear.

A notification names the session alone; who follows it reads. It is sent when the write is committed: whoever dies in
between leaves that to the poll. What is written meanwhile is told together. After each new connection that listens
everything is read again. Where
notifications do not come through (PgBouncer in transaction mode gives LISTEN to a server connection that is somebody
else's a moment later) the probe that is sent at the beginning does not come back, and the poll is quicker.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress

import anyio
import psycopg
from anyio.abc import TaskGroup

from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import Event
from agent_mcp.store.postgres import queries
from agent_mcp.store.postgres.database import Connection, Database
from agent_mcp.store.tail import Followers, ReadEvents

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""Where notifications come: for the one that got lost with its connection or its writer."""
DEAF_POLL_SECONDS = 0.5
"""Where they do not."""
_PROBE_SECONDS = 3.0
_PAUSE_SECONDS = 0.5
_PROBE = "?"
"""No session has this id."""


class News(Followers):
    """The followers of a PostgreSQL store. It listens from the first follower on, until its group ends."""

    def __init__(self, database: Database, read: ReadEvents, group: TaskGroup) -> None:
        super().__init__(read)
        self._database = database
        self._group = group
        self._begun = False
        self._hears = anyio.Event()
        self._untold: set[str] = set()
        self._told = anyio.Event()
        self._told.set()

    def tell(self, session_id: str, events: Sequence[Event]) -> None:
        """These were just committed here: for our followers now, and for other processes soon."""
        self.publish(session_id, events)
        if events:
            self._untold.add(session_id)
            if self._told.is_set():
                self._told = anyio.Event()
                self._group.start_soon(self._tell_others)

    async def all_told(self) -> None:
        """Return when nothing is left to be told."""
        await self._told.wait()

    async def _tell_others(self) -> None:
        try:
            while self._untold:
                sessions, self._untold = self._untold, set[str]()
                with suppress(psycopg.Error):
                    await self._database.once(queries.TELL, {"sessions": list(sessions)})
        finally:
            self._told.set()

    def _joined(self) -> None:
        if not self._begun:
            self._begun = True
            self._group.start_soon(self._listen_forever)
            self._group.start_soon(self._poll_forever)

    async def _listen_forever(self) -> None:
        while True:
            with suppress(psycopg.Error):
                connection = await self._database.listen()
                try:
                    await self._listen(connection)
                finally:
                    self._hears = anyio.Event()
                    with anyio.CancelScope(shield=True):
                        await connection.close()
            log.info("the connection that listens is lost, opening another")
            await anyio.sleep(_PAUSE_SECONDS)

    async def _listen(self, connection: Connection) -> None:
        await connection.execute(f"LISTEN {queries.CHANNEL}")
        self.wake_all()
        self._group.start_soon(self._probe)
        async for news in connection.notifies():
            if news.payload == _PROBE:
                self._hears.set()
            elif not self._database.is_ours(news.pid):
                self.wake(news.payload)

    async def _probe(self) -> None:
        """Whether notifications come through; said once for each connection."""
        with suppress(psycopg.Error):
            await self._database.once("SELECT pg_notify(%(channel)s, %(probe)s)", _PROBE_PARAMETERS)
        with anyio.move_on_after(_PROBE_SECONDS) as waiting:
            await self._hears.wait()
        if waiting.cancelled_caught:
            log.warning(
                "PostgreSQL's notifications do not arrive, so other processes' events are asked for every %s s "
                "(name the server itself in `store`, or a pool in session mode)",
                DEAF_POLL_SECONDS,
            )

    async def _poll_forever(self) -> None:
        while True:
            await anyio.sleep(POLL_SECONDS if self._hears.is_set() else DEAF_POLL_SECONDS)
            if self.sessions:
                await self._poll()

    async def _poll(self) -> None:
        try:
            heads = await self._database.rows(queries.HEADS, {"sessions": list(self.sessions)})
        except StoreError:
            self.wake_all()  # each meets the error where somebody can see it
            return
        for session_id, head in heads:
            self.wake_outrun(session_id, head)


_PROBE_PARAMETERS = {"channel": queries.CHANNEL, "probe": _PROBE}
