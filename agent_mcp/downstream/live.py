"""A server as it is known, and a connection to it that is up. State only; `connection` moves it."""

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from agent_mcp.config.blot import Hide
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.handshake import Channel, Era
from agent_mcp.downstream.listing import Listing
from agent_mcp.downstream.targets import Target

MAX_PARALLEL_CALLS = 32
"""Calls of one connection that run at once; further ones wait for their turn."""
_EPITAPH_SECONDS = 1.0


@dataclass(slots=True)
class Server:
    """What is known of a server beyond the life of one connection."""

    name: str
    entry: ServerEntry
    target: Target
    era: Era
    """The configured era; once a connection was made, the one that was found."""
    listing: Listing | None = None
    """The last one, so that an unchanged tool list stays the same object over reconnections."""
    generations: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    hide: Hide = str
    """Takes out what it was told in confidence."""

    def without_secrets(self, text: str) -> str:
        """What the server said of itself, without what we told it in confidence: it goes to the model and the log."""
        return self.hide(text)


class Live:
    """A connection that is up: what requests are made on."""

    def __init__(self, channel: Channel, listing: Listing, *, generation: int) -> None:
        self.channel = channel
        self.listing = listing
        self.generation = generation
        """Never the same for two connections to a server."""
        self.stale = False
        """The server has said that its tools changed."""
        self.over = anyio.Event()
        """Set when the owner must leave: the server is gone, or is to be left."""
        self.used_at = anyio.current_time()
        self.running = 0
        """Calls that have not ended."""
        self._turns = anyio.Semaphore(MAX_PARALLEL_CALLS, fast_acquire=True)
        self._ended = anyio.Event()
        self._epitaph = ""

    @asynccontextmanager
    async def in_use(self) -> AsyncGenerator[None]:
        """A call's turn among the parallel ones; keeps the connection from being idle."""
        self.running += 1
        try:
            async with self._turns:
                yield
        finally:
            self.running -= 1
            self.used_at = anyio.current_time()

    def end(self, epitaph: str) -> None:
        """Record why it is over."""
        self._epitaph = self._epitaph or epitaph
        self._ended.set()

    async def epitaph(self) -> str:
        """Why it is over; waits a moment for the owner to find out."""
        with anyio.move_on_after(_EPITAPH_SECONDS):
            await self._ended.wait()
        return self._epitaph or "the connection was lost"
