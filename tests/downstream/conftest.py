"""What the tests of this room share: fixture servers as config entries, and a watch over what they leave behind."""

import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import ToolCall, ToolResult
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.hub import Hub, open_hub
from agent_mcp.downstream.toolbox import ServerToolbox
from agent_mcp.sessions.inquiries import Ask, Sample
from agent_mcp.sessions.tool_ports import ToolScope

ROOT = Path(__file__).parents[2]


def raw(*flags: str, **entry: Any) -> ServerEntry:
    """The server without the SDK, misbehaving as the flags say."""
    return ServerEntry(
        command=sys.executable, args=("-m", "tests.support.servers.raw", *flags), cwd=str(ROOT), **entry
    )


def sdk(*options: str, **entry: Any) -> ServerEntry:
    """The server on the SDK, over stdio."""
    return ServerEntry(
        command=sys.executable, args=("-m", "tests.support.servers.sdk", *options), cwd=str(ROOT), **entry
    )


@asynccontextmanager
async def hub_of(*, idle_seconds: float = 900.0, **servers: ServerEntry) -> AsyncGenerator[Hub]:
    """A hub over these servers."""
    async with open_hub(servers, {}, os.environ, idle_seconds=idle_seconds) as hub:
        yield hub


@dataclass
class Wishes:
    """Who answers what servers ask."""

    ask: Ask | None = None
    sample: Sample | None = None


NO_WISHES = Wishes()


def scope(
    *servers: str,
    session_id: str = "s1",
    turn: int = 1,
    tools: Sequence[Sequence[str]] = (),
    emit: Emit = lambda _: None,
    wishes: Wishes = NO_WISHES,
) -> ToolScope:
    """A scope over these servers."""
    return ToolScope(session_id, turn, servers, tools, emit, ask=wishes.ask, sample=wishes.sample)


def call(name: str, arguments: Mapping[str, Any] | None = None, *, call_id: str = "call_1") -> ToolCall:
    """A model's wish to call a tool."""
    return ToolCall(call_id, name, dict(arguments or {}), provider_id="p1")


async def ask(toolbox: ServerToolbox, name: str, **arguments: Any) -> ToolResult:
    """Call a tool by its name."""
    return await toolbox.call(call(name, arguments))


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so; the test's own time limit bounds it."""
    while not condition():
        await anyio.sleep(0.01)


async def wait_dead(pid: int) -> bool:
    """Whether the process is gone within two seconds."""
    with anyio.move_on_after(2):
        await until(lambda: not is_alive(pid))
    return not is_alive(pid)


@pytest.fixture(autouse=True)
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logins are kept: not where the user who runs the tests has them."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "agent-mcp" / "logins"


@pytest.fixture(autouse=True)
def no_child_survives() -> Iterator[None]:
    """Fails a test that leaves a process behind."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    survivors = [child for child in left if is_alive(child.pid)]
    for child in survivors:
        child.kill()
    assert not survivors
