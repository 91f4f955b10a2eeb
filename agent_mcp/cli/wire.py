"""Our stdin and stdout as the one MCP connection of a stdio server.

Like the SDK's `stdio_server`, with four differences: the descriptors were claimed long before (see `descriptors`);
stdin is read by a daemon thread, so that a read that never returns can't hold up the program's end; at the end of
stdin, requests that are nearly done still get their answers; and each request has a receipt, which is told when its
answer is in the pipe.
"""

import json
import os
import threading
from asyncio import CancelledError
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import mcp_types as types
from anyio import from_thread
from anyio.abc import TaskGroup
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import ServerMessageMetadata, SessionMessage

from agent_mcp.cli.descriptors import Wire
from agent_mcp.server.receipts import Receipt

_LAST_ANSWERS_SECONDS = 0.3
"""How long open requests may still be answered after stdin has ended."""

_LOOP_IS_GONE = (RuntimeError, OSError, CancelledError, anyio.BrokenResourceError, anyio.ClosedResourceError)

Incoming = MemoryObjectSendStream[SessionMessage | Exception]


@asynccontextmanager
async def open_wire(
    wire: Wire, *, ended: Callable[[], None]
) -> AsyncGenerator[
    tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
]:
    """The streams that an MCP server runs on; the first ends with stdin, or when nobody reads our stdout any more.

    `ended` is told so at once, before the last answers are waited for.
    """
    incoming_send, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, outgoing_receive = anyio.create_memory_object_stream[SessionMessage](0)
    open_requests = _OpenRequests()
    reader = _Reader(wire.read_fd, incoming_send, open_requests, ended)
    async with anyio.create_task_group() as tasks, incoming_send, incoming, outgoing, outgoing_receive:
        tasks.start_soon(_Writer(wire.write_fd, outgoing_receive, open_requests, reader).run, tasks)
        reader.start(current_token())
        try:
            yield incoming, outgoing
        finally:
            reader.left.set()
            # The server has ended; an answer that is still on its way to a full pipe is not waited for.
            tasks.cancel_scope.cancel()


class _OpenRequests:
    """The host's requests that have no answer yet."""

    def __init__(self) -> None:
        self._receipts: dict[str | int, Receipt] = {}
        self._none = anyio.Event()

    def note_incoming(self, message: SessionMessage) -> None:
        """A request opens; its cancellation closes it, for it gets no answer then."""
        match message.message:
            case types.JSONRPCRequest(id=request_id):
                receipt = self._receipts[request_id] = Receipt()
                message.metadata = ServerMessageMetadata(request_context=receipt)
            case types.JSONRPCNotification(method="notifications/cancelled", params=params) if params:
                self._cancel(params.get("requestId"))
            case _:
                return

    def answered_by(self, message: types.JSONRPCMessage) -> Receipt | None:
        """The receipt of the open request that this answers."""
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError) and message.id is not None:
            return self._receipts.get(message.id)
        return None

    def close(self, receipt: Receipt) -> None:
        """The request has its answer. The host may have opened another one by its id as soon as it read that."""
        self._receipts = {number: other for number, other in self._receipts.items() if other is not receipt}
        self._tell_if_none()

    async def wait_until_none(self) -> None:
        """Return when every request has been answered."""
        if self._receipts:
            self._none = anyio.Event()
            await self._none.wait()

    def _cancel(self, request_id: object) -> None:
        if (
            isinstance(request_id, str | int)
            and (receipt := self._receipts.pop(request_id, None)) is not None
        ):
            receipt.void()
        self._tell_if_none()

    def _tell_if_none(self) -> None:
        if not self._receipts:
            self._none.set()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads lines in a thread and hands each to the event loop, one at a time: a slow server slows the host."""

    fd: int
    incoming: Incoming
    open_requests: _OpenRequests
    ended: Callable[[], None]
    left: threading.Event = field(default_factory=threading.Event)
    """Set when nobody takes messages any more."""

    def start(self, token: EventLoopToken) -> None:
        threading.Thread(target=self._read, args=(token,), name="stdin", daemon=True).start()

    def _read(self, token: EventLoopToken) -> None:
        # The loop may end at any time while this thread waits for input or for the loop; nobody is left to tell then.
        with suppress(*_LOOP_IS_GONE), open(self.fd, "rb", closefd=False) as lines:
            for line in lines:
                if self.left.is_set():
                    return
                if line.strip():
                    from_thread.run(self._arrived, _parsed(line), token=token)
            if not self.left.is_set():
                from_thread.run(self._stdin_ended, token=token)

    async def _arrived(self, message: SessionMessage | Exception) -> None:
        if isinstance(message, SessionMessage):
            self.open_requests.note_incoming(message)
        await self.incoming.send(message)

    async def _stdin_ended(self) -> None:
        self.ended()
        with anyio.move_on_after(_LAST_ANSWERS_SECONDS):
            await self.open_requests.wait_until_none()
        await self.incoming.aclose()

    async def end(self) -> None:
        """Nobody will read an answer: end what the server reads at once."""
        self.ended()
        await self.incoming.aclose()


def _parsed(line: bytes) -> SessionMessage | Exception:
    """Bytes that are no UTF-8 become replacement characters, as in the SDK."""
    text = line.decode("utf-8", errors="replace")
    try:
        return SessionMessage(_message(text))
    except ValueError as error:
        first = error
    try:
        return SessionMessage(_message(_mended(text)))
    except (ValueError, RecursionError):
        return first


def _message(text: str) -> types.JSONRPCMessage:
    return types.jsonrpc_message_adapter.validate_json(text, by_name=False)


def _mended(text: str) -> str:
    """The same JSON with U+FFFD for every half of a surrogate pair. Hosts in JavaScript write such halves as escapes
    when they cut a text within an emoji; refused as a whole, the request would never get an answer."""
    return (
        json.dumps(json.loads(text), ensure_ascii=False)
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
    )


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes messages one by one; a full pipe blocks only a thread."""

    fd: int
    outgoing: MemoryObjectReceiveStream[SessionMessage]
    open_requests: _OpenRequests
    reader: _Reader

    async def run(self, tasks: TaskGroup) -> None:
        """What follows from an answer is done in `tasks`, so that the next need not wait for it."""
        async for message in self.outgoing:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            data = f"{text}\n".encode()
            receipt = self.open_requests.answered_by(message.message)
            try:
                await anyio.to_thread.run_sync(_write_all, self.fd, data, abandon_on_cancel=True)
            except OSError:
                # The host has closed our stdout: for us that is the end of stdin.
                await self.reader.end()
                return
            if receipt is not None:
                self.open_requests.close(receipt)
                tasks.start_soon(receipt.sent)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
