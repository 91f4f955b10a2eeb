"""A server as a child process that speaks JSON lines over its pipes (POSIX).

Unlike the SDK's transport it sees the exit itself, keeps the exit code and the last lines of stderr, tolerates other
output on stdout, and kills the whole process group on every way out, also when the server died by itself and left
children. Wire format: https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio
"""

import json
import logging
import os
import signal
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import anyio
from anyio.abc import Process

from agent_mcp.config.blot import Hide
from agent_mcp.downstream.faults import ConnectionLostError, UnavailableError
from agent_mcp.downstream.lines import LineCutter
from agent_mcp.downstream.wire import MESSAGE_BYTES, Deliver, JsonObject

_log = logging.getLogger(__name__)

_POLITE_SECONDS = 0.5
"""For the server to leave by itself once its stdin is closed."""
_TERM_SECONDS = 0.4
"""Between SIGTERM and SIGKILL. Both together stay well under the two seconds in which we must be gone ourselves."""
_ORPHAN_SECONDS = 0.2
"""The same for children that a server left behind when it exited."""
_REAP_SECONDS = 0.3
_DRAIN_SECONDS = 0.1
_POLL_SECONDS = 0.01
_SLOW_POLL_SECONDS = 0.25
_STDERR_LINES = 50
_SHOWN_LINES = 5
_LINE_CHARACTERS = 500
_LINE_BYTES = 64 * 1024
"""What is looked at of a line; a secret that begins within what is shown ends within this."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None = None
    hide: Hide = str
    """Takes the secrets out of what the server writes to stderr; before anything is cut, for of a secret that was cut
    through the rest would no longer be known for one."""


class StdioWire:
    """A running child process."""

    is_process = True
    takes_headers = False

    def __init__(self, process: Process, hide: Hide = str) -> None:
        self.pid = process.pid
        self._hide = hide
        self._process = process
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stderr_done = anyio.Event()
        self._gone = False

    async def listen(self, deliver: Deliver) -> None:
        """Hand over each message; returns at the end of stdout, or when the process is gone.

        The two differ: a child of the server may hold its stdout open long after it died.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch_exit, tasks.cancel_scope)
                await self._read_messages(deliver)
                tasks.cancel_scope.cancel()
        finally:
            self._gone = True

    async def send(self, message: JsonObject, headers: Mapping[str, str] | None = None) -> None:
        """Write one line; it is in the pipe's buffer whole before the first wait, so a cancel never tears it."""
        assert self._process.stdin is not None
        if self._gone or self._process.returncode is not None:
            raise ConnectionLostError(sent=False)
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            await self._process.stdin.send(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            self._gone = True
            raise ConnectionLostError from error

    async def last_words(self) -> str:
        """Exit code and last lines of stderr; waits a moment for both if the process is about to end."""
        # A process can be gone before anybody who listens has noticed; its stderr is then still to be read.
        if self._gone or self._process.returncode is not None:
            with anyio.move_on_after(_REAP_SECONDS):
                await _until_exit(self._process)
                await self._stderr_done.wait()
        return "; ".join(part for part in (self._exit_text(), self._stderr_text()) if part)

    def _exit_text(self) -> str:
        code = self._process.returncode
        if code is None:
            return "it closed its stdout" if self._gone else ""
        if code >= 0:
            return f"it exited with code {code}"
        with suppress(ValueError):
            return f"it was killed by {signal.Signals(-code).name}"
        return f"it was killed by signal {-code}"

    def _stderr_text(self) -> str:
        lines = list(self._stderr)[-_SHOWN_LINES:]
        return f"stderr: {' | '.join(lines)}" if lines else ""

    async def _read_messages(self, deliver: Deliver) -> None:
        async for line in _lines(self._process.stdout, MESSAGE_BYTES):
            if len(line) > MESSAGE_BYTES:
                raise UnavailableError(f"it sent a message of more than {MESSAGE_BYTES} bytes")
            for message in _messages_in(line):
                deliver(message)
            if not line.lstrip().startswith((b"{", b"[")):
                _log.debug("not a message on stdout of process %d: %r", self.pid, self._shown(line))

    async def keep_stderr(self) -> None:
        """Read stderr to its end, keeping the last lines, so that the child never blocks on it."""
        async for line in _lines(self._process.stderr, _LINE_BYTES):
            if text := self._shown(line):
                self._stderr.append(text)
                _log.debug("stderr of process %d: %s", self.pid, text)
        self._stderr_done.set()

    def _shown(self, line: bytes) -> str:
        text = self._hide(line[:_LINE_BYTES].decode("utf-8", "replace"))
        return text[:_LINE_CHARACTERS].strip()

    async def stop(self) -> None:
        """End the process and its whole group: stdin closed, then SIGTERM, then SIGKILL; takes 1.2 s at most."""
        self._gone = True
        await _stop(self._process)

    async def _watch_exit(self, reading: anyio.CancelScope) -> None:
        await _exit_of(self._process)
        # What the process wrote last is still in the pipe.
        await anyio.sleep(_DRAIN_SECONDS)
        reading.cancel()


@asynccontextmanager
async def open_stdio(launch: Launch) -> AsyncGenerator[StdioWire]:
    """Start the server; on the way out, whichever it is, nothing of its process group is left.

    Raises:
        OSError: it can't be started.
    """
    wire = StdioWire(await _start(launch), launch.hide)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.keep_stderr)
        try:
            yield wire
        finally:
            # Shielded, since a cancelled owner must not leave its child behind; each wait inside has its bound.
            with anyio.CancelScope(shield=True):
                await wire.stop()
            tasks.cancel_scope.cancel()


async def _start(launch: Launch) -> Process:
    argv = list(launch.argv)
    # Shielded: a cancel between the fork and our first look at the child would leak it. It takes milliseconds.
    with anyio.CancelScope(shield=True):
        return await anyio.open_process(argv, env=launch.env, cwd=launch.cwd, start_new_session=True)
    raise AssertionError("nobody cancels a shielded scope of our own")


async def _stop(process: Process) -> None:
    assert process.stdin is not None
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        await process.stdin.aclose()
    with anyio.move_on_after(_POLITE_SECONDS):
        await _until_exit(process)
    grace = _ORPHAN_SECONDS if process.returncode is not None else _TERM_SECONDS
    if _signal_group(process.pid, signal.SIGTERM):
        with anyio.move_on_after(grace):
            await _until_exit(process)
            await _until_group_is_empty(process.pid)
        _signal_group(process.pid, signal.SIGKILL)
    with anyio.move_on_after(_REAP_SECONDS):
        await _until_exit(process)
    _close_pipes(process)


def _close_pipes(process: Process) -> None:
    """Close our ends even if a descendant that left the group still holds the others.

    anyio offers no public way: `Process.aclose` waits for the other ends. The SDK's transport takes the same path.
    """
    transport = getattr(getattr(process, "_process", None), "_transport", None)
    close = getattr(transport, "close", None)
    if callable(close):
        with suppress(PermissionError):
            close()


def _signal_group(group: int, number: int) -> bool:
    """Whether there was anyone in the process group to get the signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


async def _exit_of(process: Process) -> None:
    """Wait for the exit without looking often: by a pidfd where there is one (Linux)."""
    if not hasattr(os, "pidfd_open"):
        await _until_exit(process, poll_seconds=_SLOW_POLL_SECONDS)
        return
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        await _until_exit(process, poll_seconds=_SLOW_POLL_SECONDS)
        return
    try:
        await anyio.wait_readable(fd)
    finally:
        os.close(fd)


async def _until_exit(process: Process, *, poll_seconds: float = _POLL_SECONDS) -> None:
    # Not `process.wait()`: asyncio's waits for the end of the pipes too, which a grandchild may hold open for ever.
    while process.returncode is None:  # noqa: ASYNC110 - nothing tells us of it
        await anyio.sleep(poll_seconds)


async def _until_group_is_empty(group: int) -> None:
    while _signal_group(group, 0):  # noqa: ASYNC110 - nothing tells us of it
        await anyio.sleep(_POLL_SECONDS)


async def _lines(stream: anyio.abc.ByteReceiveStream | None, most_bytes: int) -> AsyncGenerator[bytes]:
    """Lines without their ends; see `LineCutter` for those that are longer than `most_bytes`."""
    assert stream is not None
    cutter = LineCutter(most_bytes)
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        async for chunk in stream:
            for line in cutter.feed(chunk):
                yield line
    for line in cutter.end():
        yield line


def _messages_in(line: bytes) -> Iterator[JsonObject]:
    """The messages of a line: one, a batch (protocol 2025-03-26), or none if it is something else."""
    try:
        value: Any = json.loads(line) if line.strip() else None
    except (ValueError, RecursionError):
        return
    for item in cast("list[Any]", value) if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield cast("JsonObject", item)
