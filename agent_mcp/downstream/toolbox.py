"""The tools of one turn, over however many servers. Satisfies `sessions.ports.SessionToolbox`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from agent_mcp.agent.messages import ToolCall, ToolResult
from agent_mcp.agent.tools import Tool
from agent_mcp.downstream.calls import Order, run_call
from agent_mcp.downstream.connection import Connection
from agent_mcp.downstream.desk import CallDesk
from agent_mcp.downstream.live import Live
from agent_mcp.downstream.naming import name_prefix
from agent_mcp.sessions.chain import ANCESTRY_KEY, CALL_KEY, SESSION_KEY
from agent_mcp.sessions.offers import Offer
from agent_mcp.sessions.tool_ports import ToolScope

_SHOWN_NAMES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Toolset:
    """Tools under the names the model sees. One object for as long as nothing changes, so that adapters may keep what
    they made of `tools`."""

    tools: tuple[Tool, ...]
    by_name: Mapping[str, Tool]
    warnings: tuple[str, ...]

    @staticmethod
    def of(tools: Sequence[Tool], warnings: Sequence[str]) -> "Toolset":
        """Tools by name; of two that would be called the same, the first."""
        by_name: dict[str, Tool] = {}
        clashes = [
            f"server {tool.server}: tool {tool.tool_name!r} is left out: its name is taken"
            for tool in tools
            if by_name.setdefault(tool.name, tool) is not tool
        ]
        return Toolset(tuple(by_name.values()), by_name, (*warnings, *clashes))


class Memory:
    """Which connection each session last used, to tell it when a server has lost what it held for the session."""

    def __init__(self) -> None:
        self._generations: dict[str, dict[str, int]] = {}

    def used(self, session_id: str, server: str, generation: int) -> None:
        """A session makes a call over this connection; the first one counts until a restart has been told of."""
        self._generations.setdefault(session_id, {}).setdefault(server, generation)

    def take_restarted(self, session_id: str, current: Mapping[str, int]) -> list[str]:
        """Servers that are at another connection than the one the session used; each change is told once."""
        known = self._generations.get(session_id, {})
        changed = [server for server, now in current.items() if known.get(server, now) != now]
        known.update((server, current[server]) for server in changed)
        return changed

    def forget(self, session_id: str) -> None:
        """The session is over."""
        self._generations.pop(session_id, None)


class ServerToolbox:
    """One turn's tools and the way to call them."""

    def __init__(
        self,
        scope: ToolScope,
        toolset: Toolset,
        *,
        connections: Mapping[str, Connection],
        down: Mapping[str, str],
        memory: Memory,
        forgetful: Callable[[Connection], bool],
        offers: Sequence[Offer] = (),
    ) -> None:
        """`down`: why a server of the scope can't be used. `forgetful`: whether a lost connection loses memory too."""
        self._scope = scope
        self._toolset = toolset
        self._connections = connections
        self._down = down
        self._memory = memory
        self._forgetful = forgetful
        self.offers = offers
        """See `SessionToolbox`."""

    @property
    def tools(self) -> Sequence[Tool]:
        """The very same tuple for as long as the servers and the scope stay the same."""
        return self._toolset.tools

    @property
    def warnings(self) -> Sequence[str]:
        """Servers that are down and why; tools left out and why."""
        return (
            *(f"server {name} is down: {reason}" for name, reason in self._down.items()),
            *self._toolset.warnings,
        )

    @property
    def missing(self) -> Sequence[str]:
        """Servers that the config calls required and that are down, each with its reason."""
        required = [
            name for name, connection in self._connections.items() if connection.server.entry.required
        ]
        return [f"server {name} is down: {self._down[name]}" for name in required if name in self._down]

    def restarted(self) -> Sequence[str]:
        """Servers that this session has used and that have lost their memory since."""
        current = {
            name: connection.live.generation
            for name, connection in self._connections.items()
            if connection.live is not None and self._forgetful(connection)
        }
        return self._memory.take_restarted(self._scope.session_id, current)

    async def call(self, call: ToolCall) -> ToolResult:
        """Run one call to its end; a failure is a result."""
        tool = self._toolset.by_name.get(call.name)
        if tool is None:
            return self._unknown(call)
        scope, connection = self._scope, self._connections[tool.server]

        def remember(live: Live) -> None:
            if self._forgetful(connection):
                self._memory.used(scope.session_id, tool.server, live.generation)

        meta: dict[str, object] = {
            CALL_KEY: f"{scope.session_id}/{scope.turn}/{call.id}",
            SESSION_KEY: scope.session_id,
            ANCESTRY_KEY: list(scope.ancestry),
            **scope.call_meta(),
        }
        desk = CallDesk(call.id, scope, connection.server.entry)
        return await run_call(Order(call, tool, connection, meta, scope.emit, remember, desk, scope.chain))

    def _unknown(self, call: ToolCall) -> ToolResult:
        for server, reason in self._down.items():
            # A tool of a server that is down is not in the list, but the model may know it from before.
            if call.name.startswith(name_prefix(server)):
                return ToolResult.failure(call, "SERVER_UNAVAILABLE", f"server {server} is down: {reason}")
        close = get_close_matches(call.name, self._toolset.by_name, n=_SHOWN_NAMES, cutoff=0.6)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        return ToolResult.failure(call, "TOOL_NOT_FOUND", f"there is no tool {call.name}{hint}")
