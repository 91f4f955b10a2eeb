"""Where a browser brings the answer of an authorization server: a listener on this machine, for one login.

Loopback redirection of RFC 8252 §7.3. What does not carry the login's own `state` is turned away, so that no page can
slip an answer of its own in. Knows nothing of tokens.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream

from agent_mcp.downstream.faults import UnavailableError

_HOST = "127.0.0.1"
_PATH = "/callback"
_MAX_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 10.0


class Loopback:
    """A listener that waits for one answer. Open it by `open_loopback`."""

    def __init__(self, redirect_uri: str) -> None:
        self.redirect_uri = redirect_uri
        self._state: str | None = None
        self._answer: Mapping[str, str] = {}
        self._came = anyio.Event()

    def expect(self, authorization_url: str) -> None:
        """From now on an answer with the state of this URL is the one."""
        self._state = dict(parse_qsl(urlsplit(authorization_url).query)).get("state")

    async def answer(self) -> Mapping[str, str]:
        """The query of the redirect: `code` and `state`, or `error` (RFC 6749 §4.1.2)."""
        await self._came.wait()
        return self._answer

    async def serve(self, stream: SocketStream) -> None:
        """Answer one connection."""
        async with stream:
            with anyio.move_on_after(_HEAD_SECONDS), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                query = self._read(await _target(stream))
                await stream.send(_PAGES[HTTPStatus.BAD_REQUEST if query is None else HTTPStatus.OK])
                if query is not None:
                    self._answer = self._answer or query
                    self._came.set()

    def _read(self, target: str) -> Mapping[str, str] | None:
        """The answer that a request carries; None if it is not the one."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        is_ours = self._state is not None and query.get("state") == self._state
        return query if is_ours and parts.path == _PATH else None


@asynccontextmanager
async def open_loopback(port: int | None, *, is_registered: bool = False) -> AsyncGenerator[Loopback]:
    """A listener on `port` of this machine; on any free one if that is None or in use.

    `is_registered`: the redirect was registered by hand, `http://localhost:PORT/callback`, and has to be just that.

    Raises:
        UnavailableError: the port that it has to be is in use.
    """
    listener = await _listen(port, is_registered=is_registered)
    name = "localhost" if is_registered else _HOST
    loopback = Loopback(f"http://{name}:{listener.extra(SocketAttribute.local_port)}{_PATH}")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, loopback.serve)
        yield loopback
        tasks.cancel_scope.cancel()


async def _listen(port: int | None, *, is_registered: bool) -> Listener[SocketStream]:
    try:
        found = await anyio.create_tcp_listener(local_host=_HOST, local_port=port or 0)
    except OSError as error:
        if is_registered:
            raise UnavailableError(
                f"port {port} (`oauth.callback_port`) is in use: {error.strerror}"
            ) from error
        found = await anyio.create_tcp_listener(local_host=_HOST)
    return found.listeners[0]


async def _target(stream: SocketStream) -> str:
    """The request target of the first line; the rest of the head is read, since some browsers want it so."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive()
        if len(head) > _MAX_HEAD_BYTES:
            raise anyio.EndOfStream
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return parts[1] if len(parts) == 3 and parts[0] == "GET" else ""


def _page(status: HTTPStatus, text: str) -> bytes:
    body = f"<!doctype html><meta charset=utf-8><title>agent-mcp</title><p>{text}".encode()
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


_PAGES = {
    HTTPStatus.OK: _page(
        HTTPStatus.OK, "agent-mcp has the answer. Close this page and go back to the terminal."
    ),
    HTTPStatus.BAD_REQUEST: _page(
        HTTPStatus.BAD_REQUEST, "This is not the answer to a login that was begun."
    ),
}
