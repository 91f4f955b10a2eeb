"""What agents refer to, against what the config has: servers, tool patterns, model aliases."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent_mcp.config.findings import Complaint
from agent_mcp.config.schema import AgentEntry, ApprovalsEntry
from agent_mcp.config.spelling import did_you_mean, nearest

_NOT_OURS = re.compile(r"[\[\]{}]")
_SCRIPTED = "scripted"
"""The one provider that stands without a model."""
_WILDCARD = re.compile(r"[*?]")


@dataclass(frozen=True, slots=True)
class Known:
    """The names that an agent may refer to."""

    servers: Sequence[str]
    models: Sequence[str]


def check_agent(agent: AgentEntry, known: Known) -> Iterator[Complaint]:
    """A complaint for everything that the agent refers to and that is not there; keys are relative to the agent."""
    for name in agent.servers or ():
        if name not in known.servers:
            problem = f"there is no server `{name}` in mcpServers"
            yield Complaint("servers", problem, did_you_mean(name, known.servers))
    yield from _check_patterns("tools", agent.tools or (), known)
    if isinstance(agent.approvals, ApprovalsEntry):
        for rule in ("allow", "ask", "deny"):
            yield from _check_patterns(f"approvals.{rule}", getattr(agent.approvals, rule), known)
    if agent.model is not None:
        yield from check_model(agent.model, known)


def check_model(reference: str, known: Known) -> Iterator[Complaint]:
    """A complaint if a model is neither an alias nor `provider:model`."""
    if reference in known.models or ":" in reference or reference == _SCRIPTED:
        return
    hint = did_you_mean(reference, known.models) if known.models else "write `provider:model`"
    yield Complaint("model", f"there is no `{reference}` under `models`, and it is no `provider:model`", hint)


def _check_patterns(key: str, patterns: Iterable[str], known: Known) -> Iterator[Complaint]:
    for pattern in patterns:
        if not pattern.strip():
            yield Complaint(key, "an empty pattern matches nothing", "write `server__tool` or `server__*`")
        elif _NOT_OURS.search(pattern):
            yield Complaint(
                key,
                f"`{pattern}`: brackets have no meaning in a pattern",
                "write `server__tool` or `server__*`",
            )
        elif not _WILDCARD.match(pattern) and not any(_can_match(pattern, each) for each in known.servers):
            yield Complaint(key, f"`{pattern}` names no tool of any server", _pattern_hint(pattern, known))


def _can_match(pattern: str, server: str) -> bool:
    """Whether a tool of the server could have such a name: the letters before the first wildcard decide."""
    literal = _WILDCARD.split(pattern, maxsplit=1)[0]
    prefix = f"{server}__"
    return literal.startswith(prefix) or (literal != pattern and prefix.startswith(literal))


def _pattern_hint(pattern: str, known: Known) -> str:
    server, separator, tool = pattern.partition("__")
    match = nearest(server, known.servers)
    if match:
        return f"did you mean `{match}__{tool or '*'}`?"
    if not separator:
        return "write `server__tool` or `server__*`"
    return f"servers: {names}" if (names := ", ".join(sorted(known.servers))) else "there are no servers"
