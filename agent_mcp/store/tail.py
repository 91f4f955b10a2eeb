"""Following logs as they grow, without gaps and without asking the database for what this process wrote itself.

What this process commits is handed on directly. Commits of other processes show in SQLite's data version, which is
looked at every 100 ms while anybody follows; then the heads of the followed sessions say who must read. A follower
that reads late keeps a bounded backlog in memory: beyond it, and wherever a number is missing, it reads the database.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import Event

POLL_SECONDS = 0.1
MAX_BACKLOG_EVENTS = 1000

ReadEvents = Callable[[str, int], Awaitable[Sequence[Event]]]


class Heads(Protocol):
    """What the poll needs of the database; must be quick, it is asked in the event loop."""

    def data_version(self) -> int:
        """Changes with each commit."""
        ...

    def head(self, session_id: str) -> int:
        """The newest sequence number."""
        ...


class Tail(AsyncIterator[Sequence[Event]]):
    """One follower of one session."""

    def __init__(self, session_id: str, after: int, read: ReadEvents) -> None:
        self._session_id = session_id
        self._read = read
        self._seen = after
        self._backlog: list[Event] = []
        self._must_read = True
        self._changed = anyio.Event()

    @property
    def known(self) -> int:
        """The highest sequence number that it has handed out or holds."""
        return self._backlog[-1].seq if self._backlog else self._seen

    def offer(self, events: Sequence[Event]) -> None:
        """Events that were just committed."""
        if len(self._backlog) + len(events) > MAX_BACKLOG_EVENTS:
            self._backlog.clear()
            self._must_read = True
        else:
            self._backlog.extend(events)
        self._changed.set()

    def wake(self) -> None:
        """There is something in the database that was not offered."""
        self._must_read = True
        self._changed.set()

    async def __anext__(self) -> Sequence[Event]:
        """The next batch, never empty. Cancelled while it waits, it loses nothing.

        Raises:
            StoreError: the database cannot be read; the next call tries again.
        """
        while True:
            self._changed = anyio.Event()
            if events := await self._next_batch():
                self._seen = events[-1].seq
                return events
            if not self._must_read:
                await self._changed.wait()

    async def _next_batch(self) -> Sequence[Event]:
        if self._must_read:
            return await self._read_all()
        events = [event for event in self._backlog if event.seq > self._seen]
        self._backlog.clear()
        if events and not _follow(self._seen, events):
            return await self._read_all()
        return events

    async def _read_all(self) -> Sequence[Event]:
        self._backlog.clear()  # all of it is committed, so it is read now
        self._must_read = False
        try:
            return await self._read(self._session_id, self._seen)
        except BaseException:
            self._must_read = True  # also when cancelled: what was cleared must not be lost
            raise


class Followers:
    """All followers of one store. Knows not how news from elsewhere comes in: whoever hears of them wakes."""

    def __init__(self, read: ReadEvents) -> None:
        self._read = read
        self._followers: dict[str, set[Tail]] = {}

    @property
    def sessions(self) -> Sequence[str]:
        """Those that somebody follows."""
        return list(self._followers)

    @asynccontextmanager
    async def follow(self, session_id: str, after: int) -> AsyncGenerator[Tail]:
        """A follower that begins after `after`."""
        tail = Tail(session_id, after, self._read)
        self._followers.setdefault(session_id, set()).add(tail)
        self._joined()
        try:
            yield tail
        finally:
            self._forget(session_id, tail)

    def publish(self, session_id: str, events: Sequence[Event]) -> None:
        """Hand on what this process has just committed."""
        for tail in self._followers.get(session_id, ()):
            tail.offer(events)

    def wake(self, session_id: str) -> None:
        """Somebody else has written to the session."""
        for tail in self._followers.get(session_id, ()):
            tail.wake()

    def wake_outrun(self, session_id: str, head: int) -> None:
        """The session's log is known to reach to `head`."""
        for tail in self._followers.get(session_id, ()):
            if tail.known < head:
                tail.wake()

    def wake_all(self) -> None:
        """Anything may have happened."""
        for session_id in self._followers:
            self.wake(session_id)

    def _joined(self) -> None:
        """There is one more follower."""

    def _left(self) -> None:
        """The last follower is gone."""

    def _forget(self, session_id: str, tail: Tail) -> None:
        followers = self._followers[session_id]
        followers.discard(tail)
        if not followers:
            del self._followers[session_id]
        if not self._followers:
            self._left()


class Tails(Followers):
    """The followers of a SQLite store, and the poll for the commits of other processes."""

    def __init__(self, heads: Heads, read: ReadEvents) -> None:
        super().__init__(read)
        self._heads = heads
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._version: int | None = None

    def close(self) -> None:
        """Stop looking for other processes' commits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _joined(self) -> None:
        if self._timer is None:
            self._poll()

    def _left(self) -> None:
        self.close()

    def _poll(self) -> None:
        # A timer and not a task: opening a store then needs no task group, which would wrap its caller's errors.
        self._timer = self._loop.call_later(POLL_SECONDS, self._poll)
        try:
            self._wake_outrun()
        except StoreError:
            self.wake_all()  # each meets the error where somebody can see it

    def _wake_outrun(self) -> None:
        version = self._heads.data_version()
        if version == self._version:
            return
        self._version = version
        for session_id in self.sessions:
            self.wake_outrun(session_id, self._heads.head(session_id))


def _follow(seen: int, events: Sequence[Event]) -> bool:
    """Whether `events` go on from `seen` without a gap."""
    return all(event.seq == seen + index for index, event in enumerate(events, start=1))
