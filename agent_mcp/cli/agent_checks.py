"""`doctor`'s look at agents: what becomes of a call of each of their tools, and which rule says so. Starts nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping

from agent_mcp.agent.tools import Tool
from agent_mcp.cli.findings import Finding
from agent_mcp.cli.terminal import counted
from agent_mcp.config.profiles import profile_for
from agent_mcp.config.schema import Config
from agent_mcp.downstream.hub import ServerReport
from agent_mcp.errors import AgentNotFoundError
from agent_mcp.sessions.policy import allowed_by, allowed_exactly
from agent_mcp.sessions.profile import Profile, ServerTrust
from agent_mcp.sessions.rulings import rule_on_tool
from agent_mcp.sessions.taint import taint_of

_TRUSTED = ServerTrust()


def check_agents(
    config: Config, reports: Mapping[str, ServerReport], *, named: str | None, whole: bool
) -> Iterator[Finding]:
    """One finding an agent; with every tool in its details for the agent `named`, or for all (`whole`)."""
    names = list(config.agents) or [""]
    if named is not None and named not in config.agents:
        try:
            profile_for(config, named)
        except AgentNotFoundError as error:
            yield Finding("FAIL", f"agent {named}", error.message, error.hint)
    for name in names:
        profile = profile_for(config, name or None)
        tools = [
            tool
            for server in profile.servers
            if server in reports
            for tool in reports[server].listed
            if allowed_by(profile.tools, tool.full_name)
        ]
        if tools or name:
            yield _finding(profile, tools, detailed=whole or name == named)


def _finding(profile: Profile, tools: list[Tool], *, detailed: bool) -> Finding:
    verdicts = Counter(rule_on_tool(profile, tool).verdict for tool in tools)
    asking_later = sum(_asks_later(profile, tool) for tool in tools)
    message = f"{counted(len(tools), 'tool')}: {verdicts['run']} run, {verdicts['ask']} ask, {verdicts['deny']} denied"
    if asking_later:
        message += f"; {asking_later} more ask once there is untrusted content"
    subject = f"agent {profile.agent}" if profile.agent else "without an agent"
    details = tuple(_line(profile, tool) for tool in tools) if detailed else ()
    return Finding("OK", subject, message, details=details)


def _line(profile: Profile, tool: Tool) -> str:
    ruling = rule_on_tool(profile, tool)
    later = "; asks once there is untrusted content" if _asks_later(profile, tool) else ""
    return f"{tool.full_name}: {ruling.verdict} ({ruling.rule}){later}"


def _asks_later(profile: Profile, tool: Tool) -> bool:
    """Whether the taint rule would have this tool ask that runs by the other rules."""
    own = profile.trust.get(tool.server, _TRUSTED).approvals
    if not profile.approvals.taint or allowed_exactly(profile.approvals, tool, own):
        return False
    if rule_on_tool(profile, tool).verdict != "run":
        return False
    heard = {name: 0 for name, trust in profile.trust.items() if trust.untrusted}
    return taint_of(tool, profile.trust, heard) is not None
