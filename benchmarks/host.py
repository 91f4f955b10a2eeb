"""A host: starts an MCP server as a child, speaks raw JSON-RPC to it, and costs next to nothing itself."""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import psutil
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

_MAX_LINE_BYTES = 1 << 24


class Host:
    """One connection to a server that was started for it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin and process.stdout
        self.process = process
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._waiting: dict[int, tuple[anyio.Event, dict[str, Any]]] = {}
        self._last_id = 0
        self._ended = False

    async def read(self) -> None:
        """Hand each answer to who waits for it, until the server ends."""
        while True:
            try:
                message = json.loads(await self._lines.receive_until(b"\n", _MAX_LINE_BYTES))
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
                break
            if "method" not in message and message.get("id") in self._waiting:
                event, answer = self._waiting.pop(message["id"])
                answer |= message
                event.set()
        self._ended = True
        for event, _ in self._waiting.values():
            event.set()

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one request.

        Raises:
            RuntimeError: the server has ended.
        """
        self._last_id += 1
        event, answer = self._waiting[self._last_id] = anyio.Event(), dict[str, Any]()
        await self._send({"id": self._last_id, "method": method, "params": params})
        if not self._ended:
            await event.wait()
        if "result" not in answer:
            raise RuntimeError(
                f"{method}: " + ("the server has ended" if self._ended else f"refused: {answer}")
            )
        return answer["result"]

    async def initialize(self) -> None:
        """Shake hands."""
        info = {"name": "benchmark", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
        await self.request("initialize", params)
        await self._send({"method": "notifications/initialized"})

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; raises if it says that it failed."""
        result = await self.request("tools/call", {"name": name, "arguments": arguments})
        if result.get("isError"):
            raise RuntimeError(f"{name}: {result}")
        return result

    @property
    def rss_kb(self) -> float:
        """Resident memory of the server, without its children."""
        return psutil.Process(self.process.pid).memory_info().rss / 1024

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


@asynccontextmanager
async def open_host(command: Sequence[str], environ: Mapping[str, str]) -> AsyncGenerator[Host]:
    """A server running as long as the context lasts; not yet greeted."""
    process = await anyio.open_process(
        [sys.executable, "-m", *command], stderr=subprocess.DEVNULL, env=environ
    )
    async with process, anyio.create_task_group() as tasks:
        host = Host(process)
        tasks.start_soon(host.read)
        try:
            yield host
        finally:
            tasks.cancel_scope.cancel()
            _end(process)


def _end(process: Process) -> None:
    """Whatever it is doing, and the servers that it has started."""
    if process.returncode is not None:
        return
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in children:
        child.kill()
