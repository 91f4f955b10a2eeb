"""A host of the newest era without the SDK's client, message by message, the same over stdio and over HTTP.

For what the SDK's client does not speak (extensions) and for what it would never send.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Any, Literal, Protocol

import httpx2
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from tests.support.host import Home, Json, ServerProcess, open_server
from tests.support.http import PREFIX, Served, answer_of, modern_headers, open_http

Transport = Literal["stdio", "http"]
Heard = Callable[[], Awaitable[Json]]
"""Waits for the next message of a stream."""


def message_of(method: str, capabilities: Json, params: Json) -> Json:
    """A request's method and params, whole in themselves."""
    meta: Json = {f"{PREFIX}/protocolVersion": "2026-07-28", f"{PREFIX}/clientCapabilities": capabilities}
    return {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}}


class Wire(Protocol):
    """A connected host."""

    @property
    def process(self) -> ServerProcess:
        """The server's."""
        ...

    async def request(self, method: str, /, *, capabilities: Json | None = None, **params: Any) -> Json:
        """The answer, with `result` or `error`; for this request with other capabilities than usual."""
        ...

    def listen(self, **notifications: Any) -> AbstractAsyncContextManager[Heard]:
        """A `subscriptions/listen` stream; the first message on it is the acknowledgement."""
        ...


class StdioWire:
    """Over the server's pipes."""

    def __init__(
        self,
        process: ServerProcess,
        incoming: MemoryObjectReceiveStream[SessionMessage | Exception],
        outgoing: MemoryObjectSendStream[SessionMessage],
        capabilities: Json,
    ) -> None:
        self.process = process
        self._incoming = incoming
        self._outgoing = outgoing
        self._capabilities = capabilities
        self._ids = count(1)
        self._notifications: list[Json] = []

    async def request(self, method: str, /, *, capabilities: Json | None = None, **params: Any) -> Json:
        """See the protocol."""
        number = await self._send(method, capabilities, params)
        while True:
            message = await self._receive()
            if message.get("id") == number:
                return message
            self._notifications.append(message)

    @asynccontextmanager
    async def listen(self, **notifications: Any) -> AsyncGenerator[Heard]:
        """See the protocol."""
        await self._send("subscriptions/listen", None, {"notifications": notifications})

        async def heard() -> Json:
            return self._notifications.pop(0) if self._notifications else await self._receive()

        yield heard

    async def _send(self, method: str, capabilities: Json | None, params: Json) -> int:
        number = next(self._ids)
        declared = self._capabilities if capabilities is None else capabilities
        request = types.JSONRPCRequest(id=number, **message_of(method, declared, params))
        await self._outgoing.send(SessionMessage(request))
        return number

    async def _receive(self) -> Json:
        message = await self._incoming.receive()
        assert isinstance(message, SessionMessage)
        return message.message.model_dump(by_alias=True, mode="json", exclude_unset=True)


class HttpWire:
    """Over HTTP, with a bearer token if there is one."""

    def __init__(
        self, server: Served, client: httpx2.AsyncClient, capabilities: Json, path: str = "/mcp"
    ) -> None:
        self.process = server.process
        self._client = client
        self._capabilities = capabilities
        self._path = path
        self._ids = count(1)

    async def request(self, method: str, /, *, capabilities: Json | None = None, **params: Any) -> Json:
        """See the protocol."""
        response = await self._client.post(self._path, **self._post(method, capabilities, params))
        return answer_of(response)

    @asynccontextmanager
    async def listen(self, **notifications: Any) -> AsyncGenerator[Heard]:
        """See the protocol."""
        post = self._post("subscriptions/listen", None, {"notifications": notifications})
        async with self._client.stream("POST", self._path, **post) as response:
            lines = response.aiter_lines()
            yield lambda: _next_event(lines)

    def _post(self, method: str, capabilities: Json | None, params: Json) -> dict[str, Any]:
        declared = self._capabilities if capabilities is None else capabilities
        body = {"id": next(self._ids), **message_of(method, declared, params)}
        return {"json": body, "headers": modern_headers(method, params.get("name", params.get("taskId")))}


async def _next_event(lines: AsyncIterator[str]) -> Json:
    async for line in lines:
        if line.startswith("data:"):
            return json.loads(line.removeprefix("data:"))
    raise EOFError("the stream has ended")


@asynccontextmanager
async def open_http_wire(
    server: Served, capabilities: Json, *, token: str | None = None
) -> AsyncGenerator[Wire]:
    """A host of a running server over HTTP."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with server.raw(**headers) as client:
        yield HttpWire(server, client, capabilities)


@asynccontextmanager
async def open_wire(home: Home, transport: Transport, capabilities: Json) -> AsyncGenerator[Wire]:
    """A server of its own and a host on it, which declares these capabilities with each request."""
    if transport == "http":
        async with open_http(home) as server, open_http_wire(server, capabilities) as wire:
            yield wire
        return
    async with open_server(home) as process, process.transport() as (incoming, outgoing):
        yield StdioWire(process, incoming, outgoing, capabilities)
