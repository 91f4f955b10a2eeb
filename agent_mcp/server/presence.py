"""Whether the client of a request over HTTP is still there, and leaving it when we end ourselves.

Up to 2025-11-25 a closed connection cancels nothing, so a call may go on for nobody: its result is not delivered.
"""

from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "agent_mcp.client"


@dataclass(slots=True)
class _Client:
    gone: bool = False


class Presence:
    """ASGI middleware that notes when a request's client hangs up, and lets the open streams end once `ending` is set.

    To the application our end looks like the client's: it closes its stream in order, where uvicorn would cut it off.
    """

    def __init__(self, app: ASGIApp, ending: anyio.Event) -> None:
        self._app = app
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        client = _Client()
        whole = False

        async def receive_watched() -> Message:
            nonlocal whole
            message = await (_unless(self._ending, receive) if whole else receive())
            whole = not message.get("more_body", False)
            client.gone = client.gone or message["type"] == "http.disconnect"
            return message

        answer = _Answer(send)
        await self._app({**scope, _KEY: client}, receive_watched, answer.send)
        if self._ending.is_set():
            await answer.complete()


class _Answer:
    """How much of a response was sent. Who believes that its client has gone leaves it unfinished."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False
        self._open = True

    async def send(self, message: Message) -> None:
        """Pass a part of the response on."""
        self._started = True
        self._open = message["type"] == "http.response.start" or message.get("more_body", False)
        await self._send(message)

    async def complete(self) -> None:
        """Send what is missing."""
        if not self._started:
            await self.send({"type": "http.response.start", "status": 503, "headers": []})
        if self._open:
            await self.send({"type": "http.response.body", "body": b""})


async def _unless(ending: anyio.Event, receive: Receive) -> Message:
    """What comes next, or a disconnect once `ending` is set."""
    message: Message = {"type": "http.disconnect"}

    async def hear() -> None:
        nonlocal message
        message = await receive()
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        await ending.wait()
        tasks.cancel_scope.cancel()
    return message


def is_gone(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client has hung up; over stdio it is always there."""
    request = ctx.request
    client = request.scope.get(_KEY) if isinstance(request, Request) else None
    return client.gone if isinstance(client, _Client) else False
