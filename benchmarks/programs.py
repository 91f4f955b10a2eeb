"""The two programs, started and spoken to in the same way."""

import itertools
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.host import Host, open_host

WIRES = ("anthropic", "openai", "openai-chat")
_WAIT_SECONDS = 600
_HIDDEN = ("AGENT_MCP_", "ANTHROPIC_", "OPENAI_", "PYTHONDONTWRITEBYTECODE")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Work:
    """What the model is to do in a turn."""

    steps: int = 0
    calls: int = 4
    tool: str = "echo"


class Program:
    """A running program, ours or the bare one."""

    def __init__(self, host: Host, *, model: str = "") -> None:
        """`model` is ours to name; without one it is the bare program."""
        self.host = host
        self._model = model
        self._known: set[str] = set()

    async def say(self, session: str, work: Work) -> float:
        """A message and its answer; returns how long it took, in seconds."""
        started = time.perf_counter()
        result = await self.begin(session, work)
        seconds = time.perf_counter() - started
        text = result["content"][0]["text"]
        if not text.startswith("Done."):
            raise RuntimeError(f"no answer but: {text}")
        return seconds

    async def begin(self, session: str, work: Work, wait_seconds: float = _WAIT_SECONDS) -> dict[str, Any]:
        """As `say`, for a turn that need not come to its end."""
        tool = f"echo__{work.tool}" if self._model else work.tool
        message = f"plan:{session}-{next(_numbers)}:{work.steps}:{work.calls}:{tool};"
        if not self._model:
            return await self.host.call("send_message", session_id=session, message=message)
        ask = {"session_id": session, "message": message, "wait_seconds": wait_seconds}
        if session in self._known:
            return await self.host.call("send_message", **ask)
        self._known.add(session)
        return await self.host.call("start_session", **ask, model=self._model)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where all programs find the model, and a directory for what is stored."""

    port: int
    directory: Path

    def open_bare(self, wire: str = "anthropic", *, tools: int = 4) -> AbstractAsyncContextManager[Host]:
        """The bare program, not yet greeted."""
        return open_host(["benchmarks.bare", wire, str(self.port), str(tools)], _environ())

    def open_ours(
        self, wire: str = "anthropic", *, tools: int = 4, store: str = "bench", ask: bool = False
    ) -> AbstractAsyncContextManager[Host]:
        """Ours, on a store of this name, not yet greeted; with `ask` every call waits for approval."""
        path = self.write_config(wire, tools=tools, store=store, ask=ask)
        return open_host(["agent_mcp", "serve", "--config", str(path)], _environ())

    def write_config(
        self, wire: str = "anthropic", *, tools: int = 4, store: str = "bench", ask: bool = False
    ) -> Path:
        """A config of ours, in a file."""
        path = self.directory / f"{store}-{wire}-{tools}.json"
        path.write_text(json.dumps(self._config(wire, tools=tools, store=store, ask=ask)))
        return path

    def _config(self, wire: str, *, tools: int, store: str, ask: bool) -> dict[str, Any]:
        echo = {"command": sys.executable, "args": ["-m", "benchmarks.echo", str(tools)]}
        address = f"http://127.0.0.1:{self.port}" + ("" if wire == "anthropic" else "/v1")
        agent = {"model": "bench", "max_steps": 1000, "approvals": {"ask": ["*"]} if ask else "off"}
        return {
            "mcpServers": {"echo": echo},
            "models": {"bench": {"use": f"{wire}:bench", "base_url": address, "api_key_env": "NONE"}},
            "defaults": {"model": "bench"},
            "agents": {"default": agent},
            "store": f"sqlite:///{self.directory / store}.db",
        }

    async def gaps(self) -> dict[str, list[float]]:
        """The seconds between the model's requests since the last call, by label."""
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            await stream.send(b"GET /gaps HTTP/1.1\r\n\r\n")
            reader = BufferedByteReceiveStream(stream)
            head = await reader.receive_until(b"\r\n\r\n", 1 << 16)
            return json.loads(await reader.receive_exactly(int(head.rpartition(b" ")[2])))


@asynccontextmanager
async def open_bench(directory: Path) -> AsyncGenerator[Bench]:
    """Start the model."""
    async with await anyio.open_process([sys.executable, "-m", "benchmarks.provider"]) as process:
        assert process.stdout
        port = int(await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 100))
        try:
            yield Bench(port, directory)
        finally:
            process.kill()


@asynccontextmanager
async def greeted(opening: AbstractAsyncContextManager[Host], *, model: str = "") -> AsyncGenerator[Program]:
    """The program, warm: imports done, downstream connected, one turn of calls run."""
    async with opening as host:
        await host.initialize()
        await host.request("tools/list", {})
        program = Program(host, model=model)
        await program.say(f"warm-{next(_numbers)}", Work(2))
        yield program


def _environ() -> Mapping[str, str]:
    """Ours without what would choose another model or store, or have both programs compiled at each start."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
