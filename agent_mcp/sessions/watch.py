"""Word that something has changed, for whoever watches in this process: level-triggered, nothing is queued."""

from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager

import anyio


class Bell:
    """Remembers that it was rung, not how often."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        """Wake whoever waits, or let the next one who waits return at once."""
        self._event.set()

    async def rung(self) -> None:
        """Return once it has been rung since the last return."""
        await self._event.wait()
        self._event = anyio.Event()


class SessionLists:
    """Each principal's list of sessions: who wants to hear that this process has made or closed one."""

    def __init__(self) -> None:
        self._bells: defaultdict[str, list[Bell]] = defaultdict(list)

    def changed(self, principal: str) -> None:
        """A session was made or closed."""
        for bell in self._bells.get(principal, ()):
            bell.ring()

    @contextmanager
    def watched(self, principal: str) -> Generator[Bell]:
        """A bell that rings with every change while this context is open."""
        bell = Bell()
        self._bells[principal].append(bell)
        try:
            yield bell
        finally:
            self._bells[principal].remove(bell)
            if not self._bells[principal]:
                del self._bells[principal]
