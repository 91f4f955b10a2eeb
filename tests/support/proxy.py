"""A wire between a client and its PostgreSQL that breaks when the client has sent certain bytes."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class BreakingWire:
    """Forwards all connections to a port; `break_on` arms it."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.broken = 0
        """How often it has broken."""
        self._target = target
        self._trigger: bytes | None = None
        self._reaches_server = True
        self._muted = False

    def break_on(self, sent: bytes, *, reaches_server: bool) -> None:
        """Break once, the next time that `sent` is in what a client sends: before the server has it, or before the
        client has the answer."""
        self._trigger = sent
        self._reaches_server = reaches_server

    async def serve(self, client: SocketStream) -> None:
        """One connection."""
        async with (
            client,
            await anyio.connect_tcp("127.0.0.1", self._target) as server,
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._back, server, client, group.cancel_scope)
            with suppress(*_GONE):
                await self._forward(client, server)
            group.cancel_scope.cancel()

    async def _forward(self, client: SocketStream, server: SocketStream) -> None:
        async for sent in client:
            if self._trigger is not None and self._trigger in sent:
                self._trigger = None
                self.broken += 1
                if self._reaches_server:
                    await self._swallow_answer(sent, server)
                return
            await server.send(sent)

    async def _swallow_answer(self, sent: bytes, server: SocketStream) -> None:
        """The server has done what was asked before the client hears that the connection is gone."""
        self._muted = True
        await server.send(sent)
        await anyio.sleep(0.2)

    async def _back(self, server: ByteStream, client: ByteStream, scope: anyio.CancelScope) -> None:
        with suppress(*_GONE):
            async for answer in server:
                if self._muted:
                    self._muted = False
                    return
                await client.send(answer)
        scope.cancel()


@asynccontextmanager
async def open_wire(target: int) -> AsyncGenerator[BreakingWire]:
    """A wire to a port of this machine."""
    wire = BreakingWire(target)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET) as listener:
        wire.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, wire.serve)
            yield wire
            group.cancel_scope.cancel()
