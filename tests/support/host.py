"""A host as a test plays it: `agent-mcp serve` as a process of its own, the SDK's client on its pipes, and a hand on
the process's life.

Every result that passes through here is checked against the published schema and size, and every byte on stdout is
kept, so that each journey proves those too. Knows no part of agent_mcp but its command line and its store's tables.
"""

import json
import os
import signal
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import jsonschema
import mcp_types as types
import psutil
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client import Client
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.message import SessionMessage

from agent_mcp.__main__ import main as agent_mcp
from tests.support.programs import Main, Program, open_program

ROOT = Path(__file__).parents[2]
API_KEY = "sk-journey-0123456789abcdef"
"""The model's key in every journey: it must never be seen outside of requests to the model."""
RESULT_CHARACTERS = 32_000
PATIENCE_SECONDS = 20.0
"""The longest that a condition is waited for."""

Era = Literal["legacy", "auto"]
Json = dict[str, Any]


@dataclass
class Home:
    """What a server finds on its machine: a config, a store and an environment."""

    folder: Path
    config: Json = field(default_factory=dict[str, Any])
    environ: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def store(self) -> Path:
        """The database."""
        return self.folder / "sessions.db"

    @property
    def config_file(self) -> Path:
        """The config."""
        return self.folder / "config.json"

    def write(self) -> None:
        """Put the config into its file."""
        config = {"store": f"sqlite:///{self.store}", **self.config}
        self.config_file.write_text(json.dumps(config), encoding="utf-8")

    def events(self) -> list[tuple[str, int, int, str, Json]]:
        """The log: session, seq, turn, kind, data, as it is on disk now; empty while there is no store."""
        with suppress(sqlite3.OperationalError):
            connection = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)
            try:
                rows = connection.execute(
                    "SELECT session, seq, turn, kind, data FROM events ORDER BY session, seq"
                )
                return [(s, seq, turn, kind, json.loads(data)) for s, seq, turn, kind, data in rows]
            finally:
                connection.close()
        return []

    def kinds(self) -> list[str]:
        """The kinds of the log's events, in order."""
        return [kind for _, _, _, kind, _ in self.events()]


class ServerProcess:
    """A running `agent-mcp`, with all that it wrote."""

    def __init__(self, process: Program, stderr_file: Path) -> None:
        self.pid = process.pid
        self.stdout = bytearray()
        """Everything that came, also what is no message."""
        self._process = process
        self._stderr_file = stderr_file

    @property
    def stderr(self) -> str:
        """The logs so far."""
        return self._stderr_file.read_text(encoding="utf-8", errors="replace")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.returncode is None

    def descendants(self) -> list[psutil.Process]:
        """Children and grandchildren that live now."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.exit()

    async def close_stdin(self) -> None:
        """What a host does that wants the server to end."""
        await self._process.close_stdin()

    async def exit(self, *, within_seconds: float = PATIENCE_SECONDS) -> int:
        """The exit status, once there is one.

        Raises:
            TimeoutError: it did not end in time.
        """
        with anyio.fail_after(within_seconds):
            while self._process.returncode is None:
                await anyio.sleep(0.005)
        return self._process.returncode

    async def write(self, line: bytes) -> None:
        """Bytes to its stdin."""
        await self._process.send(line)

    @asynccontextmanager
    async def transport(
        self,
    ) -> AsyncGenerator[
        tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
    ]:
        """The pipes as the SDK's client wants them."""
        incoming_send, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](1000)
        outgoing, outgoing_receive = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks, incoming, outgoing:
            tasks.start_soon(self._read, incoming_send)
            tasks.start_soon(self._forward, outgoing_receive)
            yield incoming, outgoing
            tasks.cancel_scope.cancel()

    async def _read(self, incoming: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        rest = bytearray()
        async with incoming:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                while chunk := await self._process.receive():
                    self.stdout += chunk
                    *lines, last = chunk.split(b"\n")
                    for line in lines:
                        await incoming.send(_message(bytes(rest + line)))
                        rest.clear()
                    rest += last

    async def _forward(self, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with outgoing:
            async for message in outgoing:
                line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                    await self.write(f"{line}\n".encode())


def _message(line: bytes) -> SessionMessage:
    return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))


@asynccontextmanager
async def open_server(
    home: Home, *arguments: str, program: Main = agent_mcp
) -> AsyncGenerator[ServerProcess]:
    """Start `agent-mcp serve`; nothing of it is left at the end, however the block ends.

    `program` is what runs it: itself, or something of a test's around it.
    """
    home.write()
    stderr_file = home.folder / f"stderr-{len(list(home.folder.glob('stderr-*')))}.log"
    command = ["serve", "--config", str(home.config_file), *arguments]
    seen: dict[int, psutil.Process] = {}
    with stderr_file.open("wb") as stderr:
        opening = open_program(program, command, environ=environment(home), folder=home.folder, stderr=stderr)
        async with opening as process:
            server = ServerProcess(process, stderr_file)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_note_descendants, server, seen)
                    yield server
                    tasks.cancel_scope.cancel()
            finally:
                for child in [*seen.values(), *server.descendants()]:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()


def environment(home: Home) -> dict[str, str]:
    """What the server gets: of ours only what a program needs to start."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ
    }
    return {**kept, "HOME": str(home.folder), "PYTHONPATH": str(ROOT), **home.environ}


async def _note_descendants(server: ServerProcess, seen: dict[int, psutil.Process]) -> None:
    """Those of a killed server have another parent by the time one looks."""
    while True:
        for process in server.descendants():
            seen.setdefault(process.pid, process)
        await anyio.sleep(0.2)


class Host:
    """A connected host program."""

    def __init__(self, server: ServerProcess, client: Client, outputs: Mapping[str, Json]) -> None:
        self.server = server
        self.client = client
        self._outputs = outputs

    async def call(self, tool: str, **arguments: Any) -> Json:
        """Call a published tool; its structured content, checked as every host may rely on it."""
        return checked(tool, await self.client.call_tool(tool, arguments), self._outputs[tool])

    async def call_with_progress(self, heard: ProgressFnT, tool: str, **arguments: Any) -> Json:
        """The same for a host that asks for progress and hears of it."""
        result = await self.client.call_tool(tool, arguments, progress_callback=heard)
        return checked(tool, result, self._outputs[tool])

    async def say(self, session_id: str, message: str, **arguments: Any) -> Json:
        """send_message."""
        return await self.call("send_message", session_id=session_id, message=message, **arguments)


def checked(tool: str, result: types.CallToolResult, schema: Json) -> Json:
    """The structured content of a result that keeps the contract."""
    answer = cast("Json | None", result.structured_content)
    assert answer is not None, f"{tool} answered without structured content: {result}"
    jsonschema.validate(answer, schema)
    size = len(result.model_dump_json(by_alias=True, exclude_unset=True))
    assert size < RESULT_CHARACTERS, f"{tool}: {size} characters"
    text = "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))
    # A summary tells of the last turn's error, and is none itself.
    assert bool(result.is_error) <= (answer["error"] is not None)
    assert bool(result.is_error) or tool == "summary" or answer["error"] is None
    if answer["error"] is not None:
        assert f"{answer['error']['code']}: " in text
    if answer.get("text"):
        assert text.startswith(answer["text"])
    assert API_KEY not in text and API_KEY not in json.dumps(answer)
    return answer


@asynccontextmanager
async def open_client(server: ServerProcess, mode: Era = "auto") -> AsyncGenerator[Host]:
    """Connect to a running server, which must be nobody else's."""
    async with Client(server.transport(), mode=mode) as client:
        tools = await client.list_tools()
        yield Host(server, client, {tool.name: tool.output_schema or {} for tool in tools.tools})


@asynccontextmanager
async def open_host(home: Home, mode: Era = "auto", *arguments: str) -> AsyncGenerator[Host]:
    """A server and a client on it; afterwards what it wrote is looked through."""
    async with open_server(home, *arguments) as server:
        async with open_client(server, mode) as host:
            yield host
        check_traces(server, home)


def check_traces(server: ServerProcess, home: Home) -> None:
    """Stdout carried messages and nothing else; the model's key is in no log and in no store."""
    *lines, _ = bytes(server.stdout).split(b"\n")  # what follows the last line's end was cut off by a kill
    for line in lines:
        assert json.loads(line)["jsonrpc"] == "2.0"
    key = API_KEY.encode()
    assert key not in bytes(server.stdout)
    assert API_KEY not in server.stderr
    for file in home.folder.glob("sessions.db*"):
        if file.is_file():
            assert key not in file.read_bytes()


async def until(condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: it did not in time.
    """
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.01)


def living(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie does not."""
    return list(_living(processes))


def _living(processes: Sequence[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                yield process
