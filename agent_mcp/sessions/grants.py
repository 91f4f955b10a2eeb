"""What a person has allowed beyond one call: a tool with these arguments, or a tool, for the rest of a session.

Part of the fold over the log. Belongs to its session alone: a fork begins without grants, since it may go another way
than the one that the person saw. Knows no rules (see `rulings`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_mcp.sessions.events import GrantScope

_ANY = ""


@dataclass(slots=True)
class Grants:
    """The grants of a session, each with the number of the step whose call it was given for."""

    _steps: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def add(self, tool: str, arguments: Mapping[str, Any] | None, *, scope: GrantScope, step: int) -> None:
        """An `allow` with this scope for a call of the tool (uncut name); one for the call alone is no grant."""
        if scope != "once" and tool:
            key = _ANY if scope == "session" else digest_of(arguments)
            self._steps[tool, key] = step

    def holds(
        self, tool: str, arguments: Mapping[str, Any] | None, *, known_from: int, changed_from: int
    ) -> GrantScope | None:
        """The grant that covers a call; None if there is none.

        A grant does not cover what the person could not know when they gave it. For a tool as such it must have been
        given for a call of step `known_from` or later (there the session held untrusted content), for a tool with
        arguments, all of which they saw, of step `changed_from` or later (there the tool's definition had changed).
        """
        if self._steps.get((tool, _ANY), -1) >= max(known_from, changed_from):
            return "session"
        if not self._steps:
            return None
        return "arguments" if self._steps.get((tool, digest_of(arguments)), -1) >= changed_from else None


def digest_of(arguments: Mapping[str, Any] | None) -> str:
    """The same for equal arguments, whatever the order of their keys: SHA-256 of canonical JSON."""
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
