"""What a turn needs of downstream servers. Adapters satisfy these by shape."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent_mcp.agent.events import Emit
from agent_mcp.agent.ports import Toolbox
from agent_mcp.agent.spending import Bill
from agent_mcp.sessions.inquiries import Ask, Sample
from agent_mcp.sessions.offers import Offer
from agent_mcp.sessions.profile import Caps


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A downstream server as a session sees it."""

    name: str
    connected: bool
    tools: int
    error: str | None = None
    """Why it is down; None when it is up or was not needed yet."""


class SessionToolbox(Toolbox, Protocol):
    """The tools of one turn, with what must be said of their servers."""

    @property
    def offers(self) -> Sequence[Offer]:
        """One for each server that is up."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """Servers that are down and why; tools left out and why."""
        ...

    @property
    def missing(self) -> Sequence[str]:
        """Servers that the config calls required and that are down, each with its reason."""
        ...

    def restarted(self) -> Sequence[str]:
        """Servers whose connection, and with it what they held for this session, was lost and made anew since
        the last call of this method."""
        ...


class ChainLink(Protocol):
    """A turn, as agents that it calls are to know it (see `chain`)."""

    @property
    def cancelled(self) -> bool:
        """Whether a person has stopped the turn; then what it waits for is to stop too."""
        ...

    def allowance(self, call_id: str) -> Caps:
        """What the agent that this call runs may spend."""
        ...

    def bill(self, call_id: str, bill: Bill) -> None:
        """What that agent has spent, where the call itself will have no result to say so."""
        ...


@dataclass(frozen=True, slots=True)
class ToolScope:
    """For whom a toolbox is opened."""

    session_id: str
    turn: int
    servers: Sequence[str]
    tools: Sequence[Sequence[str]]
    """Groups of patterns over uncut names; a tool must match one of every group."""
    emit: Emit
    ancestry: Sequence[str] = ()
    """Names of the session and of those that it runs under, outermost first; sent along with each call."""
    ask: Ask | None = None
    """Puts a server's questions to a person; None: nobody can be asked."""
    sample: Sample | None = None
    """Answers a server out of the session's model; None: no model answers."""
    chain: ChainLink | None = None
    """What agents that it calls are to know of it; None: it stands alone."""
    call_meta: Callable[[], Mapping[str, str]] = dict[str, str]
    """Asked at each call for what goes along in its `_meta` (see `observing`)."""


class ToolSource(Protocol):
    """All downstream servers."""

    async def open_toolbox(self, scope: ToolScope) -> SessionToolbox:
        """The tools of the scope's servers, connecting them at need; waits for each at most its connect timeout.

        Never raises for a server that is down: it is in `warnings`.
        """
        ...

    def status(self, servers: Sequence[str]) -> Sequence[ServerStatus]:
        """What is known now, without connecting."""
        ...

    async def release(self, session_id: str) -> None:
        """The session is over: close the connections that only it used."""
        ...
