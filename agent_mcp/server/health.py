"""`/healthz` of a process that serves nothing else: says over HTTP that its event loop turns. Knows no turn."""

import socket
from contextlib import suppress

import anyio
from anyio.abc import SocketStream

PATH = "/healthz"
_REQUEST_SECONDS = 5.0
_REQUEST_BYTES = 16 * 1024
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def serve_health(listener: socket.socket) -> None:
    """Answer on a listening socket until cancelled; a request of another kind gets 404."""
    listener.setblocking(False)
    async with await anyio.abc.SocketListener.from_socket(listener) as clients:
        await clients.serve(_answer)


async def _answer(stream: SocketStream) -> None:
    async with stream:
        with anyio.move_on_after(_REQUEST_SECONDS), suppress(anyio.BrokenResourceError, anyio.EndOfStream):
            head = await _head(stream)
            await stream.send(_OK if head.startswith((b"GET /healthz ", b"HEAD /healthz ")) else _NOT_FOUND)


async def _head(stream: SocketStream) -> bytes:
    """The request up to its empty line, or as much as is taken of one."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < _REQUEST_BYTES:
        received += await stream.receive()
    return received
