"""A server over plain TCP that says the same to everybody, and remembers what it was sent."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute


@asynccontextmanager
async def answering(head: bytes) -> AsyncGenerator[tuple[int, list[bytes]]]:
    """The port of a server that gives every request the same answer, and what it was sent."""
    seen: list[bytes] = []

    async def answer(stream: ByteStream) -> None:
        async with stream:
            seen.append(await stream.receive())
            await stream.send(b"HTTP/1.1 " + head + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        yield listener.extra(SocketAttribute.local_port), seen
        tasks.cancel_scope.cancel()
