"""The URIs under which sessions and agents are published, and the error for one that leads nowhere."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

SESSION_TEMPLATE = "session://{session_id}"
STEP_TEMPLATE = "session://{session_id}/steps/{n}"
AGENT_TEMPLATE = "agent://{name}"

_RESOURCE_NOT_FOUND = -32002
"""Until 2025-11-25; from 2026-07-28 on (SEP-2164) it is `INVALID_PARAMS`."""

_SESSION = re.compile(r"session://([A-Za-z0-9_-]{1,64})(?:/steps/(0|[1-9][0-9]{0,8}))?")
_AGENT = re.compile(r"agent://([^/?#]+)")


@dataclass(frozen=True, slots=True)
class SessionUri:
    """A session's transcript."""

    session_id: str


@dataclass(frozen=True, slots=True)
class StepUri:
    """One step of a session, counted from 0."""

    session_id: str
    number: int


@dataclass(frozen=True, slots=True)
class AgentUri:
    """An agent of the config."""

    name: str


ResourceUri = SessionUri | StepUri | AgentUri


def parse_uri(uri: str) -> ResourceUri | None:
    """What a URI names; None if it is none of ours. Says nothing about whether that exists."""
    if session := _SESSION.fullmatch(uri):
        session_id, number = session.groups()
        return SessionUri(session_id) if number is None else StepUri(session_id, int(number))
    if agent := _AGENT.fullmatch(uri):
        return AgentUri(unquote(agent[1]))
    return None


def session_uri(session_id: str) -> str:
    """The URI of a session's transcript."""
    return f"session://{session_id}"


def agent_uri(name: str) -> str:
    """The URI of an agent, whose name may be any text."""
    return f"agent://{quote(name, safe='')}"


def resource_not_found(uri: str, protocol_version: str) -> MCPError:
    """The same error for what never existed and for what is somebody else's."""
    code = INVALID_PARAMS if protocol_version in MODERN_PROTOCOL_VERSIONS else _RESOURCE_NOT_FOUND
    return MCPError(code=code, message="Resource not found", data={"uri": uri})
