"""Thousands of sessions in flight over several replicas on PostgreSQL: `python -m benchmarks.replicas`. See README.md.

Not a row of the table: it has nothing to be compared with, and takes minutes. The model thinks a minute before each
reply, so that all turns run at once on a machine that could never answer them at once.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import psutil
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.http import start_request
from tests.support.postgres import Cluster, open_cluster

_RUNNING = """
SELECT count(*) FILTER (WHERE status = 'running'), count(*) FILTER (WHERE status <> 'done') FROM agent_mcp.turns
"""
_ENDS = (
    "SELECT (data::json)->>'stop_reason', count(*) FROM agent_mcp.events WHERE kind = 'turn_ended' GROUP BY 1"
)
_EVENTS = "SELECT count(*), max(at) - min(at), pg_database_size(current_database()) FROM agent_mcp.events"
_AT_ONCE = 100
"""So many requests of hosts are under way together; each is answered as soon as its turn is queued."""


@dataclass(slots=True)
class Plan:
    """What is to be measured."""

    sessions: int
    servers: int
    workers: int
    think_seconds: float


@dataclass(slots=True)
class Found:
    """What was."""

    started_seconds: float = 0.0
    done_seconds: float = 0.0
    refused: int = 0
    peak: int = 0
    ends: dict[str, int] = field(default_factory=dict[str, int])
    lines: list[str] = field(default_factory=list[str])


def measure(plan: Plan) -> Found:
    """Start every session, wait for every turn."""
    found = Found()
    with TemporaryDirectory() as folder, open_cluster() as cluster:
        # The tests' cluster does not wait for the disk; this one must.
        cluster.execute("ALTER SYSTEM SET fsync = on")
        cluster.execute("SELECT pg_reload_conf()")
        database = cluster.create()
        anyio.run(_measure, plan, Path(folder), cluster, database, found)
        ((count, seconds, size),) = cluster.execute(_EVENTS, database)
        found.ends = {str(end): int(str(n)) for end, n in cluster.execute(_ENDS, database)}
        found.lines.append(
            f"log: {count} events in {float(str(seconds)):.0f} s, {int(str(size)) / 1e6:.0f} MB in PostgreSQL"
        )
    return found


async def _measure(plan: Plan, folder: Path, cluster: Cluster, database: str, found: Found) -> None:
    async with _replicas(plan, cluster.url(database), folder) as (addresses, processes):
        await _run(plan, cluster, database, addresses, found)
        _weigh(processes, cluster, found)


async def _run(plan: Plan, cluster: Cluster, database: str, addresses: list[str], found: Found) -> None:
    began = time.monotonic()
    async with anyio.create_task_group() as group:
        group.start_soon(_start_all, plan, addresses, found)
        unfinished = 1
        while unfinished or not found.started_seconds:
            await anyio.sleep(1)
            ((running, unfinished),) = await anyio.to_thread.run_sync(cluster.execute, _RUNNING, database)
            found.peak = max(found.peak, int(str(running)))
    found.done_seconds = time.monotonic() - began


async def _start_all(plan: Plan, addresses: list[str], found: Found) -> None:
    began, limiter = time.monotonic(), anyio.Semaphore(_AT_ONCE)
    async with httpx2.AsyncClient(timeout=120) as client, anyio.create_task_group() as group:
        for number in range(plan.sessions):
            await limiter.acquire()
            address = addresses[number % len(addresses)]
            group.start_soon(_start, client, address, f"s-{number}", limiter.release, found)
    found.started_seconds = time.monotonic() - began


async def _start(
    client: httpx2.AsyncClient, address: str, session: str, done: Callable[[], None], found: Found
) -> None:
    try:
        response = await client.post(address, **start_request(session, "plan:x:1:1:echo__echo;", 0))
        if response.status_code != 200 or '"isError":true' in response.text.replace(" ", ""):
            found.refused += 1
    finally:
        done()


@asynccontextmanager
async def _replicas(plan: Plan, store: str, folder: Path) -> AsyncGenerator[tuple[list[str], list[Process]]]:
    """Where the servers listen, and all processes."""
    async with AsyncExitStack() as stack:
        provider = await _started(stack, "benchmarks.provider", str(plan.think_seconds))
        assert provider.stdout
        port = int(await BufferedByteReceiveStream(provider.stdout).receive_until(b"\n", 100))
        config = folder / "config.json"
        config.write_text(json.dumps(_config(plan, store, port)))
        serve = "agent_mcp", "serve", "--config", str(config), "--transport", "http", "--port", "0", "--role"
        roles = ["server"] * plan.servers + ["worker"] * plan.workers
        logs = [folder / f"{number}.log" for number in range(len(roles))]
        processes = [
            await _started(stack, *serve, role, log=log) for role, log in zip(roles, logs, strict=True)
        ]
        lines = [await anyio.to_thread.run_sync(_first_line, log) for log in logs]
        yield [line.split()[-1] for line in lines[: plan.servers]], processes
        for log in logs:
            print(
                f"{log.name}: {len(log.read_text().splitlines()) - 1} warnings",
                *log.read_text().splitlines()[1:4],
                sep="\n  ",
            )


def _config(plan: Plan, store: str, port: int) -> dict[str, Any]:
    each = -(-plan.sessions // plan.workers)
    return {
        "store": store,
        "mcpServers": {"echo": {"command": sys.executable, "args": ["-m", "benchmarks.echo"]}},
        "models": {
            "bench": {
                "use": "anthropic:bench",
                "base_url": f"http://127.0.0.1:{port}",
                "api_key_env": "NONE",
            }
        },
        "defaults": {"model": "bench", "approvals": "off"},
        "server": {"max_running_turns": plan.sessions * 2, "worker": {"concurrency": each + 50}},
    }


async def _started(stack: AsyncExitStack, *module: str, log: Path | None = None) -> Process:
    hidden = ("AGENT_MCP_", "ANTHROPIC_", "OPENAI_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    command = [sys.executable, "-m", *module]
    with log.open("wb") if log else nullcontext() as errors:
        process = await anyio.open_process(command, env=environ, stdin=subprocess.DEVNULL, stderr=errors)
    stack.push_async_callback(process.aclose)
    stack.callback(process.terminate)
    return process


def _first_line(log: Path) -> str:
    """Of what a process says on stderr: where it listens."""
    give_up = time.monotonic() + 120
    while "\n" not in (said := log.read_text()):
        if time.monotonic() > give_up:
            raise TimeoutError(f"{log.name}: no process came up")
        time.sleep(0.1)
    return said.splitlines()[0]


def _weigh(processes: list[Process], cluster: Cluster, found: Found) -> None:
    seen = [psutil.Process(process.pid) for process in processes]
    memory = [process.memory_info().rss / 1e6 for process in seen]
    cpu = [sum(process.cpu_times()[:2]) for process in seen]
    connections = cluster.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    )
    found.lines.append(f"each process at the end: {min(memory):.0f} to {max(memory):.0f} MB")
    found.lines.append(f"processor time of all: {sum(cpu):.0f} s")
    found.lines.append(f"connections to PostgreSQL at the end: {connections[0][0]}")


def main() -> int:
    """0 if no session was refused and every turn ended well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--think", type=float, default=60.0, metavar="SECONDS", help="before each reply (60)")
    options = parser.parse_args()
    plan = Plan(options.sessions, options.servers, options.workers, options.think)
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    found = measure(plan)
    print(
        f"{plan.sessions} sessions over {plan.servers} servers and {plan.workers} workers, {found.refused} refused"
    )
    print(f"all queued after {found.started_seconds:.0f} s, all ended after {found.done_seconds:.0f} s")
    print(f"turns in flight at once, at most: {found.peak}")
    print(f"ends: {found.ends}")
    print("\n".join(found.lines))
    return 0 if found.ends == {"end_turn": plan.sessions} and not found.refused else 1


if __name__ == "__main__":
    sys.exit(main())
