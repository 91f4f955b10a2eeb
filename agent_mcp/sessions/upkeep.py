"""What keeps a store in shape needs of it: sessions whole and unread, old ones removed, space given back.

Here an event is text. Only so does a log of a newer version, or with fields that this one does not know, come out of
one store and into another as it was.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class RawEvent:
    """A row of the log as it is stored."""

    seq: int
    turn: int
    at: float
    """Seconds since the epoch."""
    kind: str
    data: str
    """The event's fields as JSON text, large contents included."""


@dataclass(frozen=True, slots=True)
class ArchivedTurn:
    """A turn's row. Who ran it is of no use elsewhere and left out: what had not ended is queued again."""

    n: int
    status: Literal["queued", "done"]


@dataclass(frozen=True, slots=True)
class SessionArchive:
    """All of a session but its events, as of one moment."""

    id: str
    profile: str
    """JSON text."""
    head: int
    """The sequence number of its last event at that moment."""
    created_at: float
    updated_at: float
    forked_from: str | None = None
    origin: str = ""
    principal: str = ""
    turns: tuple[ArchivedTurn, ...] = ()


@dataclass(frozen=True, slots=True)
class Expiry:
    """Which sessions are too old or too many. One with a turn that has not ended, or waits for approval, never is."""

    before: float | None = None
    """Those last changed before this time, in seconds since the epoch."""
    keep: int | None = None
    """All but so many of those changed last."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What became of an attempt to give free space back to the system."""

    before_bytes: int
    after_bytes: int
    free_bytes: int
    """What is still free inside the store, for what comes next."""
    hindrance: str = ""
    """Why nothing was given back; empty where it was done or is not needed."""


@dataclass(frozen=True, slots=True)
class StoreSize:
    """How much is in a store."""

    sessions: int
    used_bytes: int
    """What the log takes on the disk; free space inside the store, for what comes next, does not count."""


class StoreUpkeep(Protocol):
    """The part of `SessionStore` that serves its operator; every method may raise `StoreError`."""

    async def size(self) -> StoreSize:
        """How much is in it now. May cost milliseconds where there is much."""
        ...

    async def archive(self, session_id: str) -> SessionArchive:
        """The session as it is now, but for its events.

        Raises:
            SessionNotFoundError: no session has this id.
        """
        ...

    async def raw_events(self, session_id: str, *, after: int, up_to: int) -> Sequence[RawEvent]:
        """A page of the log between `after` (exclusive) and `up_to`, as long as is handy, at least one event; empty
        where there are none."""
        ...

    async def restore(self, archive: SessionArchive, events: Callable[[], Iterator[RawEvent]]) -> None:
        """Store a session with its whole log, or, if anything fails, nothing of it.

        `events` gives those from 1 to `archive.head`, without gaps; it is called in any thread, again where the
        store has to begin anew, and what it raises is raised here.

        Raises:
            SessionExistsError: the id is taken.
        """
        ...

    async def expired(self, expiry: Expiry, *, limit: int) -> Sequence[str]:
        """The ids of at most `limit` sessions that `prune` would remove, oldest first."""
        ...

    async def prune(self, expiry: Expiry, *, limit: int) -> Sequence[str]:
        """Remove at most `limit` expired sessions, oldest first, in one transaction; the ids of those removed."""
        ...

    async def compact(self) -> Compaction:
        """Give free space back to the system where that hinders nobody."""
        ...

    def upkeep_lead(self) -> AbstractAsyncContextManager[bool]:
        """True for one process of all that share the store, as long as the context lasts."""
        ...
