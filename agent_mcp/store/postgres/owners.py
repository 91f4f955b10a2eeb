"""Which processes live: each that runs turns holds a lease in the database and moves its end on while it runs.

A process that is killed, frozen or cut off stops doing so, and its turns are free when the lease is over, by the
database's clock. It may come back: what it then writes to a turn that was taken over is refused (see the epoch), and
its lease simply begins anew. A process that only reads or asks holds none.
"""

import logging
import os
import secrets
import socket
from contextlib import suppress

import anyio
import psycopg
from anyio.abc import TaskGroup

from agent_mcp.store.postgres import queries
from agent_mcp.store.postgres.database import Database

log = logging.getLogger(__name__)

_GOODBYE_SECONDS = 1.0


class Lease:
    """This process's right to run turns."""

    def __init__(self, database: Database, *, beat_seconds: float, limit_seconds: float) -> None:
        self._database = database
        self._beat_seconds = beat_seconds
        self._limit_seconds = limit_seconds
        self._held = False
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(8)}"
        """The id of this store; never used twice."""

    async def take(self, group: TaskGroup) -> None:
        """Begin it if it has not begun, and keep it in a task of `group`.

        Raises:
            StoreError: the database cannot be written to.
        """
        if self._held:
            return
        self._held = True
        try:
            await self._database.rows(f"{queries.BEAT} RETURNING id", self._parameters())
        except BaseException:
            self._held = False
            raise
        group.start_soon(self._keep)

    async def give_up(self) -> None:
        """Have its turns free at once, as far as the database can be reached."""
        if not self._held:
            return
        self._held = False
        with anyio.move_on_after(_GOODBYE_SECONDS), suppress(psycopg.Error):
            await self._database.once(queries.RESIGN, {"owner": self.owner})

    async def _keep(self) -> None:
        with suppress(psycopg.Error):
            await self._database.once(queries.FORGET_DEAD, {})
        while self._held:
            await anyio.sleep(self._beat_seconds)
            await self._beat()

    async def _beat(self) -> None:
        try:
            await self._database.once(queries.BEAT, self._parameters())
        except psycopg.Error as error:
            log.info("the lease of %s could not be renewed: %s", self.owner, error)

    def _parameters(self) -> dict[str, object]:
        return {"owner": self.owner, "seconds": self._limit_seconds}
