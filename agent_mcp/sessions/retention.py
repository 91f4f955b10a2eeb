"""When sessions are old enough to go, and their quiet removal beside whatever else runs. Knows no store by name."""

import logging
import random

import anyio

from agent_mcp.errors import AgentMcpError
from agent_mcp.sessions.ports import Clock, SessionStore
from agent_mcp.sessions.upkeep import Expiry

log = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
"""After the start, when whoever started us has long been answered."""
EVERY_SECONDS = 3600.0
BATCH = 10
"""So many sessions in one transaction, for which writers of other sessions wait."""
REST_SECONDS = 0.2
"""Between two batches."""

_DAY_SECONDS = 86_400.0


def expiry_of(days: float | None, sessions: int | None, *, now: float) -> Expiry | None:
    """What the config's `retention` means at the time `now` (seconds since the epoch); None if it says nothing."""
    if days is None and sessions is None:
        return None
    return Expiry(None if days is None else now - days * _DAY_SECONDS, sessions)


async def prune_all(store: SessionStore, expiry: Expiry, *, rest_seconds: float = 0.0) -> int:
    """Remove every expired session, a batch at a time; how many there were."""
    count = 0
    while removed := await store.prune(expiry, limit=BATCH):
        count += len(removed)
        await anyio.sleep(rest_seconds)
    return count


class Housekeeper:
    """Removes what has expired, now and then."""

    def __init__(
        self, store: SessionStore, clock: Clock, *, days: float | None, sessions: int | None
    ) -> None:
        self._store = store
        self._clock = clock
        self._days = days
        self._sessions = sessions

    async def run_forever(self) -> None:
        """First a while after the start, then each hour; ends at once if nothing is ever to go."""
        if expiry_of(self._days, self._sessions, now=0.0) is None:
            return
        # Processes that were started together should not all come at once.
        await anyio.sleep(FIRST_SECONDS * random.uniform(1.0, 1.5))
        while True:
            await self.tidy()
            await anyio.sleep(EVERY_SECONDS)

    async def tidy(self) -> None:
        """Once, unless another process is at it. Space is not given back: what is free is used again."""
        expiry = expiry_of(self._days, self._sessions, now=self._clock.now())
        if expiry is None:
            return
        try:
            async with self._store.upkeep_lead() as leads:
                count = await prune_all(self._store, expiry, rest_seconds=REST_SECONDS) if leads else 0
        except AgentMcpError as error:
            log.warning("old sessions could not be removed: %s", error)
            return
        if count:
            log.info("removed %d sessions by retention", count)
