"""Replicas on one PostgreSQL as tests need them: the real store, queue and runner in light processes, around a planned
model and tools that are functions. What happens outside of the store is counted in a file that no crash undoes.

A turn has `STEPS` steps, each with a call of `look` (read-only), `put` (idempotent) and `book` (neither).
"""

import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import anyio

from agent_mcp.agent.messages import Reply, ToolCall
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.cli.lifetime import run_to_end
from agent_mcp.config.schema import WorkerSettings
from agent_mcp.dispatch.procrastinate import open_queue_dispatcher
from agent_mcp.sessions.events import Event, ModelReplied, ToolFinished, TurnEnded, UserMessageAdded
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.sessions.start import StartRequest
from tests.support.network import enter
from tests.support.processes import running
from tests.support.world import Function, FunctionTools, Plan, World, calls, open_world, says

STEPS = 4
TOOLS = ("look", "put", "book")
SETTINGS = WorkerSettings(concurrency=20, connections=4, heartbeat_seconds=0.3, stalled_seconds=1.2)
"""Quick to notice a death; a machine at work needs some patience all the same."""
PATIENCE_SECONDS = 20.0


def replica(
    url: str, folder: Path, name: str, works: bool, namespace: str | None, settings: WorkerSettings
) -> None:
    """The life of a replica's process, until a signal ends it."""
    if namespace is not None:
        enter(namespace)
    raise SystemExit(run_to_end(partial(_live, url, folder, name, works, settings)))


async def _live(url: str, folder: Path, name: str, works: bool, settings: WorkerSettings) -> int:
    async with open_replica(url, folder, name, works=works, settings=settings):
        (folder / f"{name}.ready").touch()
        await anyio.sleep_forever()
    return 0


@asynccontextmanager
async def open_replica(
    url: str, folder: Path, name: str = "here", *, works: bool = False, settings: WorkerSettings = SETTINGS
) -> AsyncGenerator[World]:
    """A replica in this process."""
    dispatching = partial(_dispatching, url, works, settings)
    async with open_world(
        folder,
        *_plan(folder),
        tools=_tools(folder, name),
        store_url=url,
        dispatching=dispatching,
        settings=settings,
    ) as world:
        yield world


def _dispatching(url: str, works: bool, settings: WorkerSettings, store: Any, run: Any) -> Any:
    return open_queue_dispatcher(url, store, run, settings=settings, works=works)


def worker(
    url: str,
    folder: Path,
    name: str,
    *,
    namespace: str | None = None,
    settings: WorkerSettings = SETTINGS,
) -> AbstractContextManager[BaseProcess]:
    """A replica that runs turns, in a process of its own; killed at the end if it still lives."""
    return running(replica, url, folder, name, True, namespace, settings)


def host(url: str, folder: Path, session_id: str) -> AbstractContextManager[BaseProcess]:
    """A replica that serves one host, which starts a session and waits for it."""
    return running(_serve_host, url, folder, session_id)


def _serve_host(url: str, folder: Path, session_id: str) -> None:
    anyio.run(_wait_for, url, folder, session_id)


async def _wait_for(url: str, folder: Path, session_id: str) -> None:
    async with open_replica(url, folder) as here:
        await here.service.start(StartRequest(message="go"), session_id=session_id, wait_seconds=60)


def hold(folder: Path) -> None:
    """Have every turn wait in its second step."""
    (folder / "hold").touch()


def release(folder: Path) -> None:
    """Let them go on."""
    (folder / "hold").unlink()


def held_by(folder: Path, session_id: str) -> str | None:
    """The worker that all three calls of the second step are with; None as long as they are not."""
    lines = [line.split() for line in noted(folder)]
    holders = [name for name, session, _, step in lines if session == session_id and step == "1"]
    return holders[-1] if len(holders) >= len(TOOLS) else None


def note(folder: Path, line: str) -> None:
    """Something happened outside of the store."""
    descriptor = os.open(folder / "outside.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def noted(folder: Path) -> list[str]:
    """All that happened, in order: `worker session tool step`."""
    file = folder / "outside.log"
    return file.read_text().splitlines() if file.exists() else []


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Return once it holds.

    Raises:
        TimeoutError: it did not in time.
    """
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.005)


async def until_ready(folder: Path, *names: str) -> None:
    """Return when these processes work."""
    await until(lambda: all((folder / f"{name}.ready").exists() for name in names))


async def until_done(store: SessionStore, seconds: float = PATIENCE_SECONDS) -> None:
    """Return when no turn is left.

    Raises:
        TimeoutError: one still was.
    """
    with anyio.fail_after(seconds):
        while await store.count_unfinished():
            await anyio.sleep(0.02)


def faults(session_id: str, log: Sequence[Event], folder: Path) -> list[str]:
    """What is wrong with a session of one finished turn: lost, twice, or silently repeated."""
    found: list[str] = []
    data = [event.data for event in log]
    if [event.seq for event in log] != list(range(1, len(log) + 1)):
        found.append("numbers are missing")
    if sum(isinstance(one, UserMessageAdded) for one in data) != 1:
        found.append("not one message")
    if [one.stop_reason for one in data if isinstance(one, TurnEnded)] != ["end_turn"]:
        found.append("not one end")
    if [one.step for one in data if isinstance(one, ModelReplied)] != list(range(STEPS + 1)):
        found.append("not one reply a step")
    results = {one.call_id: one for one in data if isinstance(one, ToolFinished)}
    if sum(isinstance(one, ToolFinished) for one in data) != len(results):
        found.append("a call has two results")
    names = {
        part.id: f"{part.name.removeprefix('t__')} {(part.arguments or {})['step']}"
        for one in data
        if isinstance(one, ModelReplied)
        for part in one.parts
        if isinstance(part, ToolCall)
    }
    if set(names) != set(results) or len(names) != STEPS * len(TOOLS):
        found.append("calls and results do not match")
    effects = Counter(" ".join(line.split()[2:]) for line in noted(folder) if line.split()[1] == session_id)
    for call_id, name in names.items():
        found += _faults_of(name, results.get(call_id), effects[name])
    return found


def _faults_of(name: str, result: ToolFinished | None, times: int) -> list[str]:
    """A call that may not be repeated took effect once, or its result says that nobody knows."""
    if result is None:
        return [f"{name} has no result"]
    if result.is_error and (result.code != "INTERRUPTED" or not name.startswith("book")):
        return [f"{name} ended with {result.code}"]
    if times == 0 and not result.is_error:
        return [f"{name} never took effect"]
    if name.startswith("book") and times > 1:
        return [f"{name} took effect {times} times"]
    return []


def _plan(folder: Path) -> list[Plan]:
    def step(number: int) -> Plan:
        async def reply(request: ModelRequest) -> Reply:
            if number == STEPS:
                return says("Done.")
            arguments = {"session": request.session_id, "step": number}
            return calls(*((f"t__{tool}", arguments) for tool in TOOLS))

        return reply

    return [step(number) for number in range(STEPS + 1)]


def _tools(folder: Path, worker_name: str) -> FunctionTools:
    def tool(name: str) -> Function:
        async def call(arguments: dict[str, Any]) -> str:
            session, step = arguments["session"], arguments["step"]
            note(folder, f"{worker_name} {session} {name} {step}")
            # Held in the middle of the turn, until the test lets it go on.
            while step == 1 and (folder / "hold").exists():
                await anyio.sleep(0.01)
            await anyio.sleep(0.01)
            return f"{name} {step}: done"

        return call

    flags = {"look": {"read_only": True}, "put": {"idempotent": True}}
    return FunctionTools({name: tool(name) for name in TOOLS}, flags)
