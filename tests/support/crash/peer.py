"""A process among several on one store, as a test plays it: a whole service without MCP, told what to do by a pipe.

Its tools take effect in a file that all peers share, so what happened twice shows, whoever did it.
"""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from agent_mcp.agent.messages import Reply
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.errors import AgentMcpError
from agent_mcp.sessions.profile import ApprovalRules, Profile
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.start import StartRequest
from tests.support.processes import pipe, start_process
from tests.support.world import Function, FunctionTools, Plan, World, calls, open_world, says

STEPS = 3
TOOL_SECONDS = 0.01
HELD = "held"
"""In a session whose id begins so, each call waits until the file `go` is there."""
ASKED = "asked"
"""In a session whose id begins so, `sign` is called, which a person must allow."""


@dataclass(frozen=True, slots=True)
class Place:
    """What peers share."""

    folder: Path
    url: str | None = None
    """The store; default: a file in `folder`."""

    @property
    def store_url(self) -> str:
        """The address of the store."""
        return self.url or f"sqlite:///{self.folder / 'sessions.db'}"

    def effects(self) -> list[str]:
        """What the tools have done, `TOOL SESSION STEP` a line."""
        log = self.folder / "effects.log"
        return log.read_text().splitlines() if log.exists() else []

    def release(self) -> None:
        """Let held calls end."""
        (self.folder / "go").touch()


class Peer:
    """The test's end of a peer."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self._connection = connection

    async def ask(self, what: str, *arguments: Any) -> dict[str, Any]:
        """Have it do something; what the service answered, or its error. One at a time."""
        self._connection.send((what, arguments))
        return await anyio.to_thread.run_sync(self._connection.recv, abandon_on_cancel=True)

    def signal(self, number: signal.Signals) -> None:
        """Freeze it, or let it go on."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.process.kill()
        self.process.join()


@asynccontextmanager
async def open_peer(place: Place) -> AsyncGenerator[Peer]:
    """A peer that serves when this returns; killed at the end."""
    ours, theirs = pipe()
    process = start_process(serve, place, theirs)
    theirs.close()
    peer = Peer(process, ours)
    try:
        assert await peer.ask("ready") == {}
        yield peer
    finally:
        peer.kill()
        process.close()
        ours.close()


def serve(place: Place, connection: Connection) -> None:
    """The peer's process, until it is killed."""
    anyio.run(_serve, place, connection)


async def _serve(place: Place, connection: Connection) -> None:
    tools = FunctionTools(
        {name: _tool(place, name) for name in ("look", "book", "sign")}, {"look": {"read_only": True}}
    )
    plan: list[Plan] = [partial(_reply, step) for step in range(STEPS + 1)]
    profile = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(ask=("t__sign",)))
    async with open_world(
        place.folder, *plan, profile=profile, tools=tools, store_url=place.store_url
    ) as world:
        while True:
            what, arguments = await anyio.to_thread.run_sync(connection.recv, abandon_on_cancel=True)
            connection.send(await _answer(world, what, arguments))


async def _reply(step: int, request: ModelRequest) -> Reply:
    if step == STEPS:
        return says("Done.")
    where = {"session": request.session_id, "step": step}
    tools = ("look", "sign") if request.session_id.startswith(ASKED) else ("look", "book")
    return calls(*((f"t__{tool}", where) for tool in tools))


def _tool(place: Place, name: str) -> Function:
    async def call(arguments: dict[str, Any]) -> str:
        with (place.folder / "effects.log").open("a") as log:
            log.write(f"{name} {arguments['session']} {arguments['step']}\n")
        await anyio.sleep(TOOL_SECONDS)
        while arguments["session"].startswith(HELD) and not (place.folder / "go").exists():
            await anyio.sleep(0.01)
        return "done"

    return call


async def _answer(world: World, what: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    try:
        return await _do(world, what, arguments)
    except AgentMcpError as error:
        return {"error": type(error).__name__, "message": str(error)}


async def _do(world: World, what: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    service = world.service
    match what, arguments:
        case "ready", ():
            return {}
        case "start", (session_id, message):
            request = StartRequest(message=message)
            return _view(await service.start(request, session_id=session_id, wait_seconds=0))
        case "send", (session_id, message, seconds):
            return _view(await service.send(session_id, message, wait_seconds=seconds))
        case "cancel", (session_id,):
            return _view(await service.cancel(session_id))
        case "allow", (session_id, call_id):
            return _view(await service.approve(session_id, call_id, "allow", wait_seconds=10))
        case _:
            raise ValueError(f"{what}{arguments}")


def _view(report: TurnReport) -> dict[str, Any]:
    return {
        "status": report.status,
        "turn": report.turn,
        "stop_reason": report.stop_reason,
        "text": report.text,
        "waiting": [call.call.id for call in report.approvals],
        "calls": [call.status for step in report.steps for call in step.calls],
    }
