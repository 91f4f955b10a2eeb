"""What the use cases need from the world. Adapters satisfy these by shape."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from agent_mcp.agent.ports import Model
from agent_mcp.agent.spending import Spent
from agent_mcp.sessions.events import Event, EventData
from agent_mcp.sessions.pins import ToolPins
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.upkeep import StoreUpkeep

TurnStatus = Literal["queued", "running", "done"]

ListedStatus = Literal["idle", "unfinished", "closed"]
"""What a store knows of a session without reading its log: open with all turns ended, open with one that has not,
or closed."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session's row: what is known of it without its log."""

    id: str
    head: int
    """The sequence number of its last event."""
    profile: Profile
    created_at: float
    """Seconds since the epoch."""
    updated_at: float
    forked_from: str | None = None
    origin: str = ""
    """A fingerprint of the arguments that started it, to tell a repeated start from a different one."""
    principal: str = ""


@dataclass(frozen=True, slots=True)
class NewSession:
    """What is stored when a session starts."""

    id: str
    profile: Profile
    origin: str = ""
    principal: str = ""
    forked_from: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a user's message."""

    turn: int
    outcome: Literal["new", "joined", "resent"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one turn. Every write of the runner carries `epoch`; a later claim ends it."""

    session_id: str
    turn: int
    epoch: int
    attempts: int
    """How many claims in a row, this one included, have found no new event since the one before. One that a process
    repeats counts once: whatever went wrong, it did not end the process."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What some events add to the figures of a day."""

    principal: str
    agent: str
    """The agent's name; empty for the nameless one."""
    spent: Spent


@dataclass(frozen=True, slots=True)
class TurnRef:
    """A turn that has not ended."""

    session_id: str
    turn: int
    status: TurnStatus
    owner: str | None
    """The process that runs it; None while it is queued."""


@dataclass(frozen=True, slots=True)
class SessionListing:
    """A line of list_sessions. `turn_status` is that of the newest turn."""

    id: str
    agent: str
    created_at: float
    updated_at: float
    turns: int
    turn_status: TurnStatus | None
    closed: bool
    title: str
    """The first 80 characters of the first message."""


class SessionStore(StoreUpkeep, ToolPins, Protocol):
    """The log of all sessions; every method may raise `StoreError`.

    What a call has written survives any end of the process when it returns. It survives a loss of power too, but for
    what was only learned and nobody acts on yet (replies, results): that within a fraction of a second.
    """

    @property
    def owner(self) -> str:
        """This process, as turns are owned by it; alive as long as its lock is held."""
        ...

    async def create(
        self,
        session: NewSession,
        *,
        message: str | None = None,
        events: Sequence[tuple[int, EventData]] = (),
        trace: Mapping[str, str] | None = None,
    ) -> None:
        """Make a session; with a `message`, its first turn too, queued; with `events` (turn, data), a fork's past.

        `trace` is kept with the message: the W3C trace context of the call that brought it.

        Raises:
            SessionExistsError: the id is taken.
        """
        ...

    async def get(self, session_id: str) -> SessionRecord:
        """The session's row.

        Raises:
            SessionNotFoundError: no session has this id.
        """
        ...

    async def submit(
        self, session_id: str, message: str, *, trace: Mapping[str, str] | None = None
    ) -> Submitted:
        """Add a user message, in one transaction with what it sets off; `trace` as in `create`.

        The newest turn, if it has not ended, is joined; else a new queued turn is made. But if the newest user
        message of the newest turn has the same text and that turn was not delivered, nothing is written
        (`resent`). A turn counts as delivered from its `TurnDelivered` on.

        Raises:
            SessionNotFoundError: no session has this id.
            SessionClosedError: it was closed.
            SessionBusyError: 20 messages have joined the turn already that the model has not read.
        """
        ...

    async def append(
        self,
        session_id: str,
        turn: int,
        events: Sequence[EventData],
        *,
        epoch: int | None = None,
        charge: Charge | None = None,
    ) -> Sequence[Event]:
        """Add events and return them as stored. With `epoch` only if that claim still holds.

        `charge` is added, in the same transaction, to the figures of the day (UTC) on which the events are stored.

        Raises:
            FencedError: the epoch is over.
            SessionNotFoundError: no session has this id.
        """
        ...

    async def spent(self, day: str, *, principal: str, agent: str | None = None) -> Spent:
        """All that was charged to a principal's account on a day (`2026-11-22`), for one agent or for all.

        `unpriced` is not kept and always 0. The figures outlive the sessions that they come from.
        """
        ...

    async def read(self, session_id: str, *, after: int = 0) -> Sequence[Event]:
        """All events after sequence number `after`, in order; empty for an unknown session."""
        ...

    def tail(
        self, session_id: str, *, after: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Event]]]:
        """Events after `after` as they are stored, by whichever process, without gaps, in batches.

        Those of this process come at once, those of others within 100 ms. The iterator never ends by itself.
        """
        ...

    async def claim(self, session_id: str, turn: int) -> Claim | None:
        """Take a queued turn, or a running one whose owner is dead or this process itself: epoch + 1.

        None if it has ended, if a turn before it has not, or if another living process owns it.
        """
        ...

    async def end_turn(
        self, claim: Claim, events: Sequence[EventData], *, unread_after: int | None, reopen: bool = False
    ) -> bool:
        """End a turn: append `events` and mark it done, in one transaction.

        With `unread_after`, only if there is no user message with a higher sequence number; otherwise nothing is
        written and the answer is False. With `reopen`, a new queued turn is made if there is such a message
        (`unread_after` then only says which are unread, and the turn ends in any case).

        Raises:
            FencedError: the epoch is over.
        """
        ...

    async def seize(
        self, session_id: str, turn: int, events: Sequence[EventData], *, head: int | None = None
    ) -> bool:
        """End a turn over its owner's head: epoch + 1, `events`, done. False if it had ended already, or if the log
        has grown beyond `head`, up to which the `events` know it."""
        ...

    async def unfinished(self) -> Sequence[TurnRef]:
        """Turns that this process could run: queued with no turn before them unfinished, its own (which the
        dispatcher runs already, unless that failed), or with a dead owner."""
        ...

    async def count_unfinished(self, principal: str | None = None) -> int:
        """How many turns are queued or running in the whole store, or of one principal."""
        ...

    async def count_open(self, principal: str) -> int:
        """How many sessions of a principal are not closed."""
        ...

    async def list(
        self,
        *,
        principal: str | None = "",
        query: str = "",
        status: ListedStatus | None = None,
        limit: int,
        before: tuple[float, str] | None = None,
    ) -> Sequence[SessionListing]:
        """A principal's sessions (None: everybody's) by last update, newest first; `query` is sought in id, agent and
        title; `before` is the (`updated_at`, `id`) of the last line of the page before."""
        ...

    async def delete(self, session_id: str) -> None:
        """Remove a session and its log.

        Raises:
            SessionNotFoundError: no session has this id.
            SessionBusyError: a living process runs a turn of it.
        """
        ...


class Dispatcher(Protocol):
    """Who runs turns. Says only "run turn n of session s, at least once"; the claim makes it once at a time."""

    def enqueue(self, session_id: str, turn: int) -> None:
        """Have the turn run soon; repeating it is harmless."""
        ...


class ModelSource(Protocol):
    """All models."""

    def default_reference(self) -> str:
        """The model for who names none, by what the environment offers; at worst the scripted one."""
        ...

    async def resolve(self, reference: str) -> str:
        """The reference with a model's name in it, where only an address was given.

        Raises:
            TransientModelError: the address that would name it does not answer.
        """
        ...

    async def has_price(self, reference: str) -> bool:
        """Whether replies of this model will have a known cost."""
        ...

    def open_model(self, reference: str) -> Model:
        """The model of a reference (`provider:model` or an alias); no network, no SDK import.

        Raises:
            UnsupportedProviderError: no such provider, or no such alias.
            MissingApiKeyError: its key is not set; the message names the variable.
        """
        ...


class Clock(Protocol):
    """Time, so that tests can move it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from some fixed point, never going back."""
        ...
