"""One connection to one server, held by one task.

The owner task (`run`) alone enters and leaves the transport, as anyio's cancel scopes demand, and no exception leaves
it. Others ask for the connection by `get`, which has the owner make one if need be, and then make requests on it.
States: idle (not needed yet, or not for long), connecting, ready, broken (with the reason, and a pause before the next
try), closed.
"""

import logging
from collections.abc import Callable
from typing import Literal

import anyio

from agent_mcp.downstream.desk import ROOTS, capabilities_for, roots_of
from agent_mcp.downstream.faults import (
    ConnectionLostError,
    DownstreamError,
    RpcError,
    UnavailableError,
    reason_of,
)
from agent_mcp.downstream.handshake import Era, negotiate
from agent_mcp.downstream.listing import Listing, fetch_listing
from agent_mcp.downstream.live import Live, Server
from agent_mcp.downstream.peer import METHOD_NOT_FOUND, Peer, open_peer
from agent_mcp.downstream.wire import Wire

_log = logging.getLogger(__name__)

State = Literal["idle", "connecting", "ready", "broken", "closed"]

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 30.0
_PATIENCE_SECONDS = 0.3
"""A pause up to this long is waited out by whoever needs the connection."""
_LEAVE_SECONDS = 1.0
"""For telling an HTTP server goodbye. A child process has its own, shielded bounds."""
_RESUBSCRIBE_SECONDS = 30.0
_LIST_CHANGED = "notifications/tools/list_changed"


Admit = Callable[["Connection"], None]


class Connection:
    """The state of one connection, and the work of its owner."""

    def __init__(self, server: Server, *, idle_seconds: float, admit: Admit | None = None) -> None:
        """`admit` is asked before a connection is made; it may refuse."""
        self.server = server
        self._admit = admit
        self.state: State = "idle"
        self.reason = ""
        """Why it is broken."""
        self.live: Live | None = None
        self._held: Live | None = None
        self._connecting: anyio.CancelScope | None = None
        self._idle_seconds = idle_seconds
        self._wanted = anyio.Event()
        self._closing = anyio.Event()
        self._changed = anyio.Event()
        self._finished = anyio.Event()
        self._failures = 0
        self._failures_in_row = 0
        self._hung = False
        self._not_before = 0.0
        self._relisting = anyio.Lock()

    # For everyone

    async def get(self) -> Live:
        """The live connection, made now if there is none; waits at most about the server's connect timeout.

        Does not wait for a server that hung the last time: that goes on in the background.

        Raises:
            UnavailableError: why there is none.
        """
        if self.live is not None:
            self.live.used_at = anyio.current_time()
            return self.live
        if self._admit is not None and not self.occupied:
            self._admit(self)
        self._wanted.set()
        if self._hung or self._pause_left() > _PATIENCE_SECONDS:
            raise UnavailableError(self.reason)
        failures = self._failures
        while self.live is None:
            if self._failures > failures or self._closing.is_set():
                raise UnavailableError(self.reason or "it was closed")
            await self._changed.wait()
        return self.live

    @property
    def occupied(self) -> bool:
        """Whether it is up, or about to be."""
        return self.live is not None or self.state == "connecting"

    async def current_listing(self, live: Live) -> Listing:
        """The tools of a live connection, fetched again if the server has said that they changed."""
        if not live.stale:
            return live.listing
        async with self._relisting:
            if live.stale:
                await self._relist(live)
        return live.listing

    def recycle(self, live: Live) -> None:
        """Leave a connection that is no longer good for anything; the next need makes a new one."""
        if self.live is live:
            self.live = None
        live.over.set()

    def close(self) -> None:
        """Have the owner leave for good."""
        self._closing.set()
        self._wanted.set()
        if self._held is not None:
            self._held.over.set()
        elif self._connecting is not None:
            self._connecting.cancel()
        self._tell()

    async def wait_closed(self) -> None:
        """Wait until the owner has left."""
        await self._finished.wait()

    # For the owner task

    async def run(self) -> None:
        """Own the connection until it is closed."""
        try:
            while not self._closing.is_set():
                await self._wanted.wait()
                with anyio.move_on_after(self._pause_left()):
                    await self._closing.wait()
                if not self._closing.is_set():
                    await self._live_once()
        finally:
            self.live = None
            self.state = "closed"
            self._finished.set()
            self._tell()

    async def _live_once(self) -> None:
        """One try to connect and, if it succeeds, the whole life of the connection."""
        self.state = "connecting"
        deadline = anyio.current_time() + self.server.entry.connect_timeout
        try:
            if not await self._hold(self.server.era, deadline):
                await self._hold("legacy", deadline)
        except Exception as error:
            # Whatever it was, it costs this server only.
            self._connecting = None
            _log.debug("server %s", self.server.name, exc_info=error)
            if self._held is not None:
                self._left(self._held, reason_of(error))
            else:
                self._failed(reason_of(error))
        self._held = None

    async def _hold(self, era: Era, deadline: float) -> bool:
        """Enter the transport, connect, stay until it is over, leave. False: worth a try in the older dialect."""
        settled: bool | None = None
        with anyio.CancelScope(deadline=deadline) as scope:
            self._connecting = scope
            fixed = {ROOTS: roots_of(self.server.entry)}
            async with (
                self.server.target.open() as wire,
                open_peer(wire, self._notice, fixed=fixed) as peer,
            ):
                scope.deadline = float("inf")
                settled = await self._talk(wire, peer, era, deadline)
                # Leaving may be cut short; what the talk came to stands.
                scope.deadline = anyio.current_time() + _LEAVE_SECONDS
        self._connecting = None
        if settled is None and not self._closing.is_set():
            self._failed(self._too_late(), hung=True)
        return settled is not False

    async def _talk(self, wire: Wire, peer: Peer, era: Era, deadline: float) -> bool:
        """Connect and stay. Waiters learn of a failure here, before the transport is left, which may take a second."""
        try:
            with anyio.fail_after(deadline - anyio.current_time()):
                live = await self._greet(peer, era)
        except ConnectionLostError:
            if era == "auto" and wire.is_process:
                return False
            self._failed(await wire.last_words() or "the connection was lost")
        except TimeoutError:
            self._failed(await _with_last_words(self._too_late(), wire), hung=True)
        except (RpcError, UnavailableError) as error:
            self._failed(await _with_last_words(str(error), wire))
        else:
            self._ready(live)
            await self._stay(live, peer)
            self._left(live, await wire.last_words() or "the connection was lost", lost=peer.closed.is_set())
        return True

    async def _greet(self, peer: Peer, era: Era) -> Live:
        server = self.server
        channel = await negotiate(peer, era, capabilities_for(server.entry))
        listing = await fetch_listing(
            channel, server=server.name, patterns=server.entry.tools, known=server.listing
        )
        server.era, server.listing = channel.era, listing
        return Live(channel, listing, generation=next(server.generations))

    async def _stay(self, live: Live, peer: Peer) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_when_closed, peer, live)
            tasks.start_soon(_subscribe, live)
            await self._until_over(live)
            tasks.cancel_scope.cancel()

    async def _until_over(self, live: Live) -> None:
        """Until the server is gone, the connection is to be left, or nobody has used it for long."""
        while not live.over.is_set():
            left = live.used_at + self._idle_seconds - anyio.current_time()
            if left <= 0 and not live.running:
                return
            with anyio.move_on_after(left if left > 0 else self._idle_seconds):
                await live.over.wait()

    # Changes of state, each told to those who wait

    def _ready(self, live: Live) -> None:
        self.state = "ready"
        self.reason = ""
        self._hung = False
        self._failures_in_row = 0
        self._wanted = anyio.Event()
        self.live = self._held = live
        if self._closing.is_set():
            live.over.set()
        self._tell()

    def _failed(self, reason: str, *, hung: bool = False) -> None:
        self.state = "broken"
        self.reason = self.server.without_secrets(reason)
        self._hung = hung
        self.server.era = self.server.target.era
        self._failures += 1
        pause = min(_FIRST_PAUSE_SECONDS * 2**self._failures_in_row, _LONGEST_PAUSE_SECONDS)
        self._failures_in_row += 1
        self._not_before = anyio.current_time() + pause
        self._wanted = anyio.Event()
        self._tell()

    def _left(self, live: Live, epitaph: str, *, lost: bool = True) -> None:
        """A connection that was up is over; the next need makes a new one without a pause."""
        epitaph = self.server.without_secrets(epitaph)
        self.live = None
        self.state = "broken" if lost else "idle"
        self.reason = epitaph if lost else ""
        live.over.set()
        live.end(epitaph if lost else "the connection was closed")
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _notice(self, method: str) -> None:
        if method == _LIST_CHANGED and self._held is not None:
            self._held.stale = True

    async def _relist(self, live: Live) -> None:
        """Fetch the tools again; what was known stays if that fails."""
        live.stale = False
        server = self.server
        try:
            with anyio.fail_after(server.entry.connect_timeout):
                listing = await fetch_listing(
                    live.channel, server=server.name, patterns=server.entry.tools, known=live.listing
                )
        except (DownstreamError, TimeoutError) as error:
            _log.warning(
                "server %s: its changed tool list could not be read: %s", server.name, reason_of(error)
            )
        else:
            live.listing = server.listing = listing

    def _pause_left(self) -> float:
        return max(self._not_before - anyio.current_time(), 0.0)

    def _too_late(self) -> str:
        return f"it did not start within {self.server.entry.connect_timeout:g} s"


async def _when_closed(peer: Peer, live: Live) -> None:
    await peer.closed.wait()
    live.over.set()


async def _subscribe(live: Live) -> None:
    """Hear of changes to the tool list in the newer era, where they come only to who listens for them."""
    if live.channel.era != "modern" or not live.channel.has_list_changes():
        return
    while True:
        try:
            await live.channel.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        except DownstreamError as error:
            if isinstance(error, RpcError) and error.code == METHOD_NOT_FOUND:
                return
        # What changed until we listen again goes unheard.
        live.stale = True
        await anyio.sleep(_RESUBSCRIBE_SECONDS)


async def _with_last_words(reason: str, wire: Wire) -> str:
    words = await wire.last_words()
    return f"{reason}; {words}" if words else reason
