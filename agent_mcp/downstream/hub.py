"""All downstream servers of a process: who is connected, and the toolbox of each turn.

Satisfies `sessions.ports.ToolSource`; open it by `open_hub`. A connection is shared by all sessions, or belongs to one
if its entry says `"scope": "session"`.
"""

import json
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from agent_mcp.agent.tools import Tool
from agent_mcp.config.blot import Blot
from agent_mcp.config.schema import ServerEntry
from agent_mcp.config.secrets import secrets_of_server
from agent_mcp.downstream.children import Children
from agent_mcp.downstream.connection import Connection
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.invisible import without_invisible
from agent_mcp.downstream.listing import Listing
from agent_mcp.downstream.live import Server
from agent_mcp.downstream.targets import Discretion, to_target
from agent_mcp.downstream.toolbox import Memory, ServerToolbox, Toolset
from agent_mcp.sessions.offers import Offer
from agent_mcp.sessions.policy import allowed_by
from agent_mcp.sessions.tool_ports import ServerStatus, ToolScope

IDLE_SECONDS = 15 * 60.0
_CLOSE_SECONDS = 1.4
"""For all connections together, which close side by side: the whole program must be gone in two seconds."""
_KEPT_TOOLSETS = 256


@dataclass(frozen=True, slots=True)
class ToolReport:
    """A tool as `doctor` shows it."""

    name: str
    json_bytes: int
    """The size of what the model is told of it."""


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What came of trying a server."""

    name: str
    tools: tuple[ToolReport, ...]
    warnings: tuple[str, ...]
    error: str | None
    """Why it can't be used; None if it can."""
    seconds: float
    """How long it took to start, shake hands and list its tools."""
    listed: tuple[Tool, ...] = ()
    """The tools as models and policies see them."""
    offer: Offer | None = None
    """What it says of itself beside them; None if it can't be used."""


class Hub:
    """The downstream servers. Runs inside `open_hub`, whose task group holds the owner tasks."""

    def __init__(
        self,
        servers: Mapping[str, ServerEntry],
        unavailable: Mapping[str, str],
        environ: Mapping[str, str],
        *,
        tasks: TaskGroup,
        idle_seconds: float = IDLE_SECONDS,
        secrets: frozenset[str] = frozenset(),
        max_children: int | None = None,
    ) -> None:
        """`unavailable`: servers of the config that can't be used, with the reason. `environ`: our own environment."""
        self._servers = {name: _to_server(name, entry, environ, secrets) for name, entry in servers.items()}
        self._unavailable = dict(unavailable)
        self._tasks = tasks
        self._idle_seconds = idle_seconds
        self._connections: dict[tuple[str, str], Connection] = {}
        self._children = Children(self._connections.values(), max_children)
        self._memory = Memory()
        self._toolsets: OrderedDict[tuple[object, ...], Toolset] = OrderedDict()

    async def open_toolbox(self, scope: ToolScope) -> ServerToolbox:
        """The tools of the scope's servers, connecting them at need, side by side.

        Never raises for a server that is down: it is in `warnings`.
        """
        names = list(dict.fromkeys(scope.servers))
        connections = {
            name: self._connection(name, scope.session_id) for name in names if name in self._servers
        }
        failed = {name: self._why_unusable(name) for name in names if name not in self._servers}
        listings: dict[str, Listing] = {}
        async with anyio.create_task_group() as tasks:
            for name, connection in connections.items():
                tasks.start_soon(_reach, name, connection, listings, failed)
        down = {name: failed[name] for name in names if name in failed}
        toolset = self._toolset(scope, [listings[name] for name in names if name in listings])
        return ServerToolbox(
            scope,
            toolset,
            connections=connections,
            down=down,
            memory=self._memory,
            forgetful=_is_forgetful,
            offers=[_offer(connections[name], listings[name]) for name in names if name in listings],
        )

    def status(self, servers: Sequence[str]) -> Sequence[ServerStatus]:
        """What is known now, without connecting."""
        return [self._status(name) for name in servers]

    async def release(self, session_id: str) -> None:
        """The session is over: close the connections that only it used."""
        self._memory.forget(session_id)
        own = [key for key in self._connections if session_id and key[0] == session_id]
        closing = [self._connections.pop(key) for key in own]
        for connection in closing:
            connection.close()
        for connection in closing:
            await connection.wait_closed()

    async def inspect(self, name: str) -> ServerReport:
        """Connect to one server afresh, for nobody's use, and say what it offers or why it can't be used."""
        if name not in self._servers:
            return ServerReport(name, (), (), self._why_unusable(name), 0.0)
        connection = self._start(self._servers[name])
        started = time.perf_counter()
        try:
            live = await connection.get()
        except UnavailableError as error:
            return ServerReport(name, (), (), str(error), time.perf_counter() - started)
        finally:
            connection.close()
        tools = tuple(
            ToolReport(tool.name, _json_bytes(tool.description, tool.input_schema))
            for tool in live.listing.tools
        )
        return ServerReport(
            name,
            tools,
            live.listing.warnings,
            None,
            time.perf_counter() - started,
            listed=live.listing.tools,
            offer=_offer(connection, live.listing),
        )

    async def close(self) -> None:
        """Close all connections, side by side."""
        for connection in self._connections.values():
            connection.close()
        for connection in self._connections.values():
            await connection.wait_closed()

    def _connection(self, name: str, session_id: str) -> Connection:
        server = self._servers[name]
        key = (session_id if server.entry.scope == "session" else "", name)
        if key not in self._connections:
            self._connections[key] = self._start(server)
        return self._connections[key]

    def _start(self, server: Server) -> Connection:
        connection = Connection(server, idle_seconds=self._idle_seconds, admit=self._children.admit)
        self._tasks.start_soon(connection.run)
        return connection

    def _why_unusable(self, name: str) -> str:
        return self._unavailable.get(name, "it is not in the configuration, or disabled there")

    def _status(self, name: str) -> ServerStatus:
        if name not in self._servers:
            return ServerStatus(name, connected=False, tools=0, error=self._why_unusable(name))
        connections = [found for (_, server), found in self._connections.items() if server == name]
        connected = any(connection.live is not None for connection in connections)
        listing = self._servers[name].listing
        reasons = [connection.reason for connection in connections if connection.reason]
        return ServerStatus(
            name,
            connected=connected,
            tools=len(listing.tools) if listing else 0,
            error=reasons[-1] if reasons and not connected else None,
        )

    def _toolset(self, scope: ToolScope, listings: Sequence[Listing]) -> Toolset:
        """The tools of these listings that the scope lets through; the same object for the same question."""
        groups = tuple(tuple(group) for group in scope.tools)
        key = (groups, *listings)
        if (toolset := self._toolsets.get(key)) is None:
            tools = [
                tool for listing in listings for tool in listing.tools if allowed_by(groups, tool.full_name)
            ]
            warnings = [warning for listing in listings for warning in listing.warnings]
            toolset = self._toolsets[key] = Toolset.of(tools, warnings)
        self._toolsets.move_to_end(key)
        if len(self._toolsets) > _KEPT_TOOLSETS:
            self._toolsets.popitem(last=False)
        return toolset


@asynccontextmanager
async def open_hub(
    servers: Mapping[str, ServerEntry],
    unavailable: Mapping[str, str],
    environ: Mapping[str, str],
    *,
    idle_seconds: float = IDLE_SECONDS,
    secrets: frozenset[str] = frozenset(),
    max_children: int | None = None,
) -> AsyncGenerator[Hub]:
    """A hub with nothing connected yet; on the way out all is closed within a second and a half."""
    async with anyio.create_task_group() as tasks:
        hub = Hub(
            servers,
            unavailable,
            environ,
            tasks=tasks,
            idle_seconds=idle_seconds,
            secrets=secrets,
            max_children=max_children,
        )
        try:
            yield hub
        finally:
            # Shielded, so that a cancelled program still says goodbye to its servers; what takes longer is cut off.
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await hub.close()
            tasks.cancel_scope.cancel()


async def _reach(
    name: str, connection: Connection, listings: dict[str, Listing], down: dict[str, str]
) -> None:
    try:
        live = await connection.get()
    except UnavailableError as error:
        down[name] = str(error)
        return
    listings[name] = await connection.current_listing(live)


def _offer(connection: Connection, listing: Listing) -> Offer:
    server, live = connection.server, connection.live
    said = live.channel.instructions if live is not None and server.entry.instructions else ""
    instructions = without_invisible(server.without_secrets(said))
    return Offer(server.name, listing.digests, listing.notices, instructions)


def _to_server(name: str, entry: ServerEntry, environ: Mapping[str, str], secrets: frozenset[str]) -> Server:
    hide = Blot(secrets | secrets_of_server(entry, environ))
    target = to_target(name, entry, environ, discretion=Discretion(hide, Blot(secrets)))
    return Server(name, entry, target, target.era, hide=hide)


def _is_forgetful(connection: Connection) -> bool:
    """Whether a server loses what it held for a session when its connection ends."""
    return connection.server.target.is_process or connection.server.entry.scope == "session"


def _json_bytes(description: str, schema: Mapping[str, object]) -> int:
    return len(
        json.dumps({"description": description, "input_schema": schema}, separators=(",", ":")).encode()
    )
