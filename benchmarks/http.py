"""Many sessions at once over HTTP, each on a connection of its own: errors, and how long a turn takes its host."""

import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
import httpx2
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.programs import Bench, Work
from benchmarks.table import Row, Target

_SESSIONS = 200
_WORK = Work(2)
_VERSION = "2026-07-28"
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": _VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def measure_http(bench: Bench, rounds: int) -> Sequence[Row]:
    """200 sessions at once, a message of two steps each."""
    errors = Row("200 sessions over HTTP: errors", "", Target("at most", 0))
    middle = Row("200 sessions over HTTP: median turn", "ms")
    slow = Row("200 sessions over HTTP: p95 of a turn", "ms")
    async with _serving(bench) as address:
        await _turn(address, "warm", bench)
        for number in range(rounds):
            failed, seconds = await _all_at_once(address, f"http-{number}", bench)
            errors.ours.append(failed)
            middle.ours.append(median(seconds) * 1000)
            slow.ours.append(quantiles(seconds, n=20)[-1] * 1000)
    return [errors, middle, slow]


async def _all_at_once(address: str, name: str, bench: Bench) -> tuple[int, list[float]]:
    failed, seconds = list[Exception](), list[float]()

    async def talk(session: str) -> None:
        try:
            seconds.append(await _turn(address, session, bench))
        except Exception as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(_SESSIONS):
            tasks.start_soon(talk, f"{name}-{number}")
    return len(failed), seconds


async def _turn(address: str, session: str, bench: Bench) -> float:
    """The seconds from the request to its answer, connecting included."""
    message = f"plan:{session}:{_WORK.steps}:{_WORK.calls}:echo__{_WORK.tool};"
    request = start_request(session, message, 600)
    async with httpx2.AsyncClient(timeout=600) as client:
        started = time.perf_counter()
        response = await client.post(address, **request)
        seconds = time.perf_counter() - started
    if response.status_code != 200 or '"stop_reason":"end_turn"' not in response.text.replace(" ", ""):
        raise RuntimeError(f"no answer but: {response.status_code} {response.text[:500]}")
    return seconds


def start_request(session: str, message: str, wait_seconds: float) -> dict[str, Any]:
    """The keywords of a post that starts a session."""
    arguments = {"session_id": session, "message": message, "wait_seconds": wait_seconds}
    params: dict[str, Any] = {"name": "start_session", "arguments": arguments, "_meta": _META}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": _VERSION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "start_session",
    }
    return {
        "json": {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
        "headers": headers,
    }


@asynccontextmanager
async def _serving(bench: Bench) -> AsyncGenerator[str]:
    """Where ours listens."""
    config: Path = bench.write_config(store="http")
    command: list[Any] = [sys.executable, "-m", "agent_mcp", "serve", "--transport", "http", "--port", "0"]
    async with await anyio.open_process(
        [*command, "--config", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stderr
        lines = BufferedByteReceiveStream(process.stderr)
        try:
            yield (await lines.receive_until(b"\n", 10_000)).decode().split()[-1]
        finally:
            process.terminate()
