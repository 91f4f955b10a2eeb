"""Agents under agents: who called whom, carried along so that no chain runs on for ever.

A session's tool calls carry the names of the session and of its ancestors; an agent-mcp that is called starts its
sessions under them. Depth is bounded by that, and by what a child process is told in its environment, since a
process-wide counter would refuse wide trees and miss long chains over several processes.
"""

import secrets
from collections.abc import Mapping
from typing import Any, cast

from agent_mcp.errors import RecursionLimitError
from agent_mcp.sessions.ports import SessionRecord

META_PREFIX = "io.github.agent-mcp/"
"""By the rules for `_meta` keys: a reversed domain, then a name."""
ANCESTRY_KEY = f"{META_PREFIX}ancestry"
DEPTH_VARIABLE = "AGENT_MCP_DEPTH"
MAX_DEPTH = 5
"""So many agents may stand above a new session."""


def chain_name(session_id: str) -> str:
    """A new session's name in a chain: its id alone may be taken in another store too."""
    return f"{session_id}@{secrets.token_hex(4)}"


def ancestry_of(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """The sessions above a call, outermost first, as its `_meta` names them; whatever is no name is left out."""
    names: object = meta.get(ANCESTRY_KEY)
    if not isinstance(names, list):
        return ()
    return tuple(name for name in cast("list[object]", names[: MAX_DEPTH + 1]) if isinstance(name, str))


def depth_of(environ: Mapping[str, str]) -> int:
    """How many agent-mcp processes stand above this one."""
    depth = environ.get(DEPTH_VARIABLE, "")
    return int(depth) if depth.isdecimal() else 0


def check_depth(ancestry: tuple[str, ...], depth: int) -> None:
    """Raises:
    RecursionLimitError: too many agents stand above a session that is to start.
    """
    if max(len(ancestry), depth) >= MAX_DEPTH:
        raise RecursionLimitError(
            f"{MAX_DEPTH} agents stand above this session already, which is the limit.",
            hint="Let one agent do the work, or look for a config whose servers lead back to itself.",
        )


def check_no_circle(record: SessionRecord, ancestry: tuple[str, ...]) -> None:
    """Raises:
    RecursionLimitError: the session is one of those that this call comes from: it would wait for itself.
    """
    if record.profile.ancestry and record.profile.ancestry[-1] in ancestry:
        raise RecursionLimitError(
            f"Session {record.id} is waiting for this very call: it cannot be sent a message from under itself.",
            hint="Start another session.",
        )
