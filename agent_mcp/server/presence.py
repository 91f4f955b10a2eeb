"""Whether the client of a request over HTTP is still there.

Up to 2025-11-25 a closed connection cancels nothing, so a call may go on for nobody: its result is not delivered.
"""

from dataclasses import dataclass
from typing import Any

from mcp.server.context import ServerRequestContext
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "agent_mcp.client"


@dataclass(slots=True)
class _Client:
    gone: bool = False


class Presence:
    """ASGI middleware that notes when a request's client hangs up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        client = _Client()

        async def receive_watched() -> Message:
            message = await receive()
            client.gone = client.gone or message["type"] == "http.disconnect"
            return message

        await self._app({**scope, _KEY: client}, receive_watched, send)


def is_gone(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client has hung up; over stdio it is always there."""
    request = ctx.request
    client = request.scope.get(_KEY) if isinstance(request, Request) else None
    return client.gone if isinstance(client, _Client) else False
