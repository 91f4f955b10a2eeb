"""A wire over a transport of the SDK: HTTP, SSE, and child processes on Windows."""

import logging
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar
from typing import TextIO

import anyio
from mcp.client._transport import ReadStream, WriteStream
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from agent_mcp.downstream.faults import ConnectionLostError
from agent_mcp.downstream.stdio import Launch
from agent_mcp.downstream.wire import Deliver, JsonObject

_log = logging.getLogger(__name__)

_SHOWN_STDERR_BYTES = 2000
_REQUEST: ContextVar[int | None] = ContextVar("_REQUEST", default=None)
"""The id of the request that is being sent."""


class StreamsWire:
    """A pair of the SDK's message streams."""

    def __init__(
        self,
        read: ReadStream[SessionMessage | Exception],
        write: WriteStream[SessionMessage],
        *,
        takes_headers: bool = False,
        stderr: TextIO | None = None,
    ) -> None:
        self.is_process = stderr is not None
        self.takes_headers = takes_headers
        self._read = read
        self._write = write
        self._stderr = stderr

    async def listen(self, deliver: Deliver) -> None:
        """Hand over each message; returns when the transport closes its end."""
        try:
            async for item in self._read:
                if isinstance(item, SessionMessage):
                    deliver(_to_json(item.message), self._stream_of_last())
                else:
                    _log.debug("not a message: %s", item)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return

    def _stream_of_last(self) -> int | None:
        # The SDK carries a request's context with its POST, and from there to all that comes back on it.
        context: Context | None = getattr(self._read, "last_context", None)
        return context.get(_REQUEST) if context is not None else None

    async def send(self, message: JsonObject, headers: Mapping[str, str] | None = None) -> None:
        """Hand one message to the transport."""
        is_request = "id" in message and "method" in message
        token = _REQUEST.set(message["id"] if is_request else None)
        try:
            await self._send(message, headers)
        finally:
            _REQUEST.reset(token)

    async def _send(self, message: JsonObject, headers: Mapping[str, str] | None) -> None:
        metadata = ClientMessageMetadata(headers=dict(headers)) if headers and self.takes_headers else None
        try:
            await self._write.send(SessionMessage(_from_json(message), metadata))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            # The transport takes a message or it does not: it did not, so nothing was sent.
            raise ConnectionLostError(sent=False) from error

    async def last_words(self) -> str:
        """The end of stderr, where there is one."""
        if self._stderr is None:
            return ""
        self._stderr.seek(0)
        text = " | ".join(self._stderr.read()[-_SHOWN_STDERR_BYTES:].split("\n")).strip(" |")
        return f"stderr: {text}" if text else ""


@asynccontextmanager
async def open_windows_stdio(launch: Launch) -> AsyncGenerator[StreamsWire]:
    """A child process under Windows, by the SDK, whose Job object ends its descendants too."""
    program, *args = launch.argv
    parameters = StdioServerParameters(command=program, args=args, env=dict(launch.env), cwd=launch.cwd)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
        async with stdio_client(parameters, errlog=stderr) as (read, write):
            yield StreamsWire(read, write, stderr=stderr)


def _from_json(message: JsonObject) -> JSONRPCMessage:
    match message:
        case {"id": _, "method": _}:
            return JSONRPCRequest(**message)
        case {"method": _}:
            return JSONRPCNotification(**message)
        case {"error": _}:
            return JSONRPCError(**message)
        case _:
            return JSONRPCResponse(**message)


def _to_json(message: JSONRPCMessage) -> JsonObject:
    match message:
        case JSONRPCRequest():
            return {"id": message.id, "method": message.method, "params": message.params}
        case JSONRPCNotification():
            return {"method": message.method, "params": message.params}
        case JSONRPCError():
            return {"id": message.id, "error": message.error.model_dump()}
        case JSONRPCResponse():
            return {"id": message.id, "result": message.result}
