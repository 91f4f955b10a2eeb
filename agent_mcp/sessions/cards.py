"""Agents as somebody reads about them before choosing one: what an agent is for and which tools it may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent_mcp.agent.events import Happening
from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.policy import Verdict
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.rulings import rule_on_tool
from agent_mcp.sessions.tool_ports import ToolScope, ToolSource


class NamedAgents(Protocol):
    """The agents of the config that have a name."""

    @property
    def names(self) -> Sequence[str]:
        """In the order of the config."""
        ...

    def profile(self, agent: str | None) -> Profile:
        """The profile of a named agent.

        Raises:
            AgentNotFoundError: no agent has this name.
        """
        ...


@dataclass(frozen=True, slots=True)
class JudgedTool:
    """A tool, and what becomes of a call: it runs, a person is asked, it is denied."""

    tool: Tool
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AgentCard:
    """An agent and what it could use if a turn began now."""

    profile: Profile
    tools: Sequence[JudgedTool]
    warnings: Sequence[str]
    """Servers that are down and why; tools left out and why."""


class AgentCards:
    """The cards of all named agents."""

    def __init__(self, agents: NamedAgents, tools: ToolSource) -> None:
        self._agents = agents
        self._tools = tools

    @property
    def names(self) -> Sequence[str]:
        """In the order of the config."""
        return self._agents.names

    def profile(self, name: str) -> Profile:
        """What the config says of an agent, without a look at its servers.

        Raises:
            AgentNotFoundError: no agent has this name.
        """
        return self._agents.profile(name)

    async def card(self, name: str) -> AgentCard:
        """An agent with its tools; connects its servers at need, and waits for each at most its connect timeout.

        Raises:
            AgentNotFoundError: no agent has this name.
        """
        profile = self._agents.profile(name)
        # No session's: servers that each session has for itself show what they offer over one connection of nobody's.
        scope = ToolScope(session_id="", turn=0, servers=profile.servers, tools=profile.tools, emit=_ignore)
        toolbox = await self._tools.open_toolbox(scope)
        judged = tuple(JudgedTool(tool, rule_on_tool(profile, tool).verdict) for tool in toolbox.tools)
        return AgentCard(profile, judged, toolbox.warnings)


def _ignore(happening: Happening) -> None:
    return
