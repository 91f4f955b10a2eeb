"""The old era's MCP connections (`Mcp-Session-Id`) without need of the process that opened them.

Nothing of ours hangs on such a connection: it only carries progress, questions and news to its host. So a request
whose connection is not here (another replica opened it, it was idle too long, this process was restarted) is served
without one, instead of the 404 that many hosts never recover from. To tell such an id from an invented one it carries
a seal; replicas that share `server.state_key_env` know each other's.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence
from http import HTTPStatus

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_mcp.server.principals import principal_of_user

_ENDED_IDS = 10_000
"""How many connections we remember to have been ended by their hosts."""
_SEAL_CHARACTERS = 32


class Seal:
    """Marks ids as ours. The first key seals, every key is known."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = [
            hashlib.sha256(b"agent-mcp connection id" + key).digest() for key in keys or [os.urandom(32)]
        ]

    def sealed(self, connection_id: str) -> str:
        """The id as hosts see it."""
        return f"{connection_id}-{self._mark(self._keys[0], connection_id)}"

    def opened(self, sealed: str) -> str | None:
        """The id as it was, or None if it is none of ours."""
        connection_id, _, mark = sealed.rpartition("-")
        known = [hmac.compare_digest(self._mark(key, connection_id), mark) for key in self._keys]
        return connection_id if any(known) else None

    def _mark(self, key: bytes, connection_id: str) -> str:
        return hmac.new(key, connection_id.encode(), hashlib.sha256).hexdigest()[:_SEAL_CHARACTERS]


class AnyReplica:
    """Serves a request on its connection where that is here, and without one where it is not."""

    def __init__(self, connected: ASGIApp, detached: ASGIApp, *, seal: Seal, max_body_bytes: int) -> None:
        self._connected = connected
        self._detached = detached
        self._seal = seal
        self._ended: dict[tuple[str, str], None] = {}
        """By their hosts, in that order: id and principal, for nobody else can end it."""
        # Around us, so that the body comes in one message and can be read twice.
        self._limited = RequestBodyLimitMiddleware(self._route, max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._limited(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        sealed = Headers(scope=scope).get(MCP_SESSION_ID_HEADER)
        connection_id = None if sealed is None else self._seal.opened(sealed)
        principal = principal_of_user(scope.get("user"))
        scope = _with_id(scope, connection_id or sealed)
        if connection_id is None or (connection_id, principal) in self._ended:
            await self._connected(scope, receive, self._sealing(send))
            return
        first = await receive()
        answer = _UnlessGone(self._sealing(send))
        await self._connected(scope, _again(first, receive), answer)
        if scope["method"] == "DELETE":
            self._note_end(connection_id, principal)
        if answer.gone:
            await self._without_connection(scope, _again(first, receive), send)

    def _note_end(self, connection_id: str, principal: str) -> None:
        self._ended[connection_id, principal] = None
        if len(self._ended) > _ENDED_IDS:
            del self._ended[next(iter(self._ended))]

    async def _without_connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["method"]:
            case "POST":
                await self._detached(_with_id(scope, None), receive, send)
            case "DELETE":
                await Response(status_code=HTTPStatus.OK)(scope, receive, send)
            case _:
                # Hosts do without the stream for news then, as the specification has it.
                await Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED)(scope, receive, send)

    def _sealing(self, send: Send) -> Send:
        async def send_sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                if connection_id := headers.get(MCP_SESSION_ID_HEADER):
                    headers[MCP_SESSION_ID_HEADER] = self._seal.sealed(connection_id)
                    message = {**message, "headers": headers.raw}
            await send(message)

        return send_sealed


class _UnlessGone:
    """Passes an answer on, unless it says 404: then `gone` is set and nothing was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.gone = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.NOT_FOUND:
            self.gone = True
        if not self.gone:
            await self._send(message)


def _with_id(scope: Scope, connection_id: str | None) -> Scope:
    name = MCP_SESSION_ID_HEADER.encode()
    others = [(key, value) for key, value in scope["headers"] if key != name]
    named = [(name, connection_id.encode("latin-1"))] if connection_id is not None else []
    return {**scope, "headers": [*others, *named]}


def _again(first: Message, receive: Receive) -> Receive:
    """`receive` with its first message once more in front."""
    kept = [first]

    async def receive_again() -> Message:
        return kept.pop() if kept else await receive()

    return receive_again
