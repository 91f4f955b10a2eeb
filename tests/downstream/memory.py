"""A server in memory: a wire whose other end is a function, for what real servers do too rarely to wait for."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from agent_mcp.downstream.faults import ConnectionLostError
from agent_mcp.downstream.handshake import Era
from agent_mcp.downstream.wire import Deliver, JsonObject

Answer = Callable[[JsonObject], JsonObject | None]
"""From a request to what the answer holds beside its id (`{"result": ...}`); None: no answer."""


class MemoryWire:
    """Delivers what the function answers."""

    is_process = False
    takes_headers = True

    def __init__(self, answer: Answer) -> None:
        self.sent: list[JsonObject] = []
        self.headers: list[Mapping[str, str] | None] = []
        self.gone = anyio.Event()
        self._answer = answer
        self._deliver: Deliver = lambda _message, _stream=None, /: None

    async def listen(self, deliver: Deliver) -> None:
        """Until the test ends it."""
        self._deliver = deliver
        await self.gone.wait()

    async def send(self, message: JsonObject, headers: Mapping[str, str] | None = None) -> None:
        """Answer a request at once."""
        if self.gone.is_set():
            raise ConnectionLostError(sent=False)
        self.sent.append(message)
        self.headers.append(headers)
        await anyio.lowlevel.checkpoint()
        if "id" in message and (answer := self._answer(message)) is not None:
            self._deliver({"id": message["id"], **answer})

    def tell(self, message: JsonObject) -> None:
        """Deliver a message of the server's own."""
        self._deliver(message)

    def methods(self) -> list[str]:
        """The methods of all messages sent."""
        return [message.get("method", "answer") for message in self.sent]

    async def last_words(self) -> str:
        """Nothing is left behind."""
        return ""


class MemoryTarget:
    """Connects to the same function again and again; keeps each wire."""

    is_process = False

    def __init__(self, answer: Answer, *, era: Era = "legacy") -> None:
        self.era: Era = era
        self.wires: list[MemoryWire] = []
        self._answer = answer

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[MemoryWire]:
        """A new wire."""
        wire = MemoryWire(self._answer)
        self.wires.append(wire)
        yield wire
        wire.gone.set()


def legacy(more: Mapping[str, JsonObject]) -> Answer:
    """A server of the older dialect with one tool `t`; `more` holds further answers, by method."""
    hello: JsonObject = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
    listed = {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}
    known: dict[str, JsonObject] = {"initialize": {"result": hello}, "tools/list": {"result": listed}, **more}
    unknown = {"error": {"code": -32601, "message": "no such method"}}
    return lambda request: known.get(request["method"], unknown)


def modern(more: Mapping[str, JsonObject]) -> Answer:
    """The same in the newer dialect."""
    hello: JsonObject = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
    refused = {"error": {"code": -32022, "message": "too new", "data": {"supported": ["2026-07-28"]}}}
    return legacy({"server/discover": {"result": hello}, "initialize": refused, **more})
