"""Whether the client of a request is still there, when it has its answer, and leaving it when we end ourselves.

Up to 2025-11-25 a closed connection cancels nothing, so a call may go on for nobody: its result is not delivered.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_mcp.server.receipts import Deed, Receipt

_KEY = "agent_mcp.client"


@dataclass(slots=True)
class _Client:
    gone: bool = False
    receipt: Receipt = field(default_factory=Receipt)


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

        answer = _Answer(send, client)
        await self._app({**scope, _KEY: client}, receive_watched, answer.send)
        if self._ending.is_set():
            await answer.complete()


class _Answer:
    """How much of a response was sent. Who believes that its client has gone leaves it unfinished."""

    def __init__(self, send: Send, client: _Client) -> None:
        self._send = send
        self._client = client
        self._started = False
        self._open = True

    async def send(self, message: Message) -> None:
        """Pass a part of the response on; with the one that holds the answer, the client has it."""
        self._started = True
        self._open = message["type"] == "http.response.start" or message.get("more_body", False)
        await self._send(message)
        # Not when the response is over: clients hang up as soon as they have read the answer's event.
        if self._client.receipt and not self._client.gone and self._was_answer(message):
            await self._client.receipt.sent()

    def _was_answer(self, message: Message) -> bool:
        return not self._open or holds_answer(message.get("body", b""))

    async def complete(self) -> None:
        """Send what is missing; that is no answer."""
        if not self._started:
            await self._send({"type": "http.response.start", "status": 503, "headers": []})
        if self._open:
            await self._send({"type": "http.response.body", "body": b""})


def holds_answer(part: bytes) -> bool:
    """Whether a part of a response is an event with the answer to a request, and no notification and no question."""
    for line in part.splitlines():
        if line.startswith(b"data:"):
            match json.loads(line.removeprefix(b"data:").strip() or b"null"):
                case {"result": _} | {"error": _}:
                    return True
                case _:
                    return False
    return False


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
    client = _client(ctx)
    return client is not None and client.gone


async def when_sent(ctx: ServerRequestContext[Any, Any], deed: Deed) -> None:
    """Do this once the answer to the request has been sent; at once, where the transport does not tell."""
    client = _client(ctx)
    receipt = ctx.request if client is None else client.receipt
    if isinstance(receipt, Receipt):
        receipt.then(deed)
    else:
        await deed()


def _client(ctx: ServerRequestContext[Any, Any]) -> _Client | None:
    request = ctx.request
    client = request.scope.get(_KEY) if isinstance(request, Request) else None
    return client if isinstance(client, _Client) else None
