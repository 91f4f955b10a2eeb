"""The lines of a descriptor for one reader, read by a daemon thread: a read that never returns holds up nobody."""

import threading
from asyncio import CancelledError
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

_LOOP_IS_GONE = (RuntimeError, OSError, CancelledError, anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass(frozen=True, slots=True)
class Lines:
    """What is read."""

    _incoming: MemoryObjectReceiveStream[str]

    async def next(self) -> str | None:
        """The next line without its end; None when there are no more."""
        try:
            return await self._incoming.receive()
        except anyio.EndOfStream:
            return None


@asynccontextmanager
async def open_lines(fd: int) -> AsyncGenerator[Lines]:
    """The lines of `fd`, which stays open; at most one is read ahead."""
    send, incoming = anyio.create_memory_object_stream[str](0)
    async with send, incoming:
        thread = threading.Thread(target=_read, args=(fd, send, current_token()), name="stdin", daemon=True)
        thread.start()
        yield Lines(incoming)


def _read(fd: int, send: MemoryObjectSendStream[str], token: EventLoopToken) -> None:
    # The loop may end at any time while this thread waits for input or for the loop; nobody is left to tell then.
    with suppress(*_LOOP_IS_GONE), open(fd, "rb", closefd=False) as lines:
        for line in lines:
            from_thread.run(send.send, line.decode("utf-8", errors="replace").rstrip("\r\n"), token=token)
        from_thread.run(send.aclose, token=token)
