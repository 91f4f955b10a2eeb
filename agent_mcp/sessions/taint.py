"""The taint rule: what an untrusted server says may be an order in disguise, so what goes out after it is asked for.

Once content of a server marked `"untrusted": true` is in a session, a call of a tool that goes outward needs approval.
Outward are, of a server with the key `outward`, the tools that it marks, and of every other server but the one that
the content came from, the tools that are not declared read-only; what an untrusted server declares is not believed.

What lifts it: an `allow` rule that names the tool exactly, without `*` or `?`; a grant that a person gave when the
content was there; and `"approvals": {"taint": "off"}`. `"approvals": "off"` does not: it speaks of what tools declare
and rules say, and was written before anybody knew what the session would read.

It counts from the step after the one that brought the content: calls of the same step were made before the model had
read it. All of this follows from the log, so it outlives restarts and goes with forks. A server's own words in tool
definitions do not count (see `pins` for those), nor what is said of a server that is down, which is withheld.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.policy import matches
from agent_mcp.sessions.profile import ServerTrust

_TRUSTED = ServerTrust()


@dataclass(frozen=True, slots=True)
class Taint:
    """Why a tool's calls are tainted."""

    server: str
    """The untrusted server whose content came first."""
    step: int
    """The number of the first step that is tainted."""


def taint_of(tool: Tool, trust: Mapping[str, ServerTrust], heard: Mapping[str, int]) -> Taint | None:
    """What taints calls of the tool; `heard`: by server the number of the first step that brought its content."""
    sources = {name: step for name, step in heard.items() if trust.get(name, _TRUSTED).untrusted}
    own = trust.get(tool.server, _TRUSTED)
    if own.outward is not None:
        outward = any(matches(pattern, tool.tool_name) for pattern in own.outward)
    else:
        outward = own.untrusted or tool.read_only is not True
        sources.pop(tool.server, None)
    if not outward or not sources:
        return None
    server = min(sources, key=sources.__getitem__)
    return Taint(server, sources[server] + 1)
