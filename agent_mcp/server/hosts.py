"""What we know of hosts: how long each waits for a tool call before it gives up, and what hints it honours.

A call that outlives its host's limit loses its result and, in some hosts, wedges the connection; so a call waits
less than that and returns `running`. Sources: the hosts' issue trackers and measurements, November 2026.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_mcp.config.schema import HostEntry, ServerSettings

DEFAULT_WAIT_SECONDS = 45.0
"""Fits a limit of 60 s, which is what most hosts have and what is assumed of an unknown one."""

MAX_WAIT_SECONDS = 24 * 3600.0
"""The longest wait that a caller may ask for."""


@dataclass(frozen=True, slots=True)
class HostWait:
    """How long calls of a host wait."""

    seconds: float = DEFAULT_WAIT_SECONDS
    """Where the call does not say."""
    cap_seconds: float | None = None
    """Where the host cuts every call and nobody can change that: a longer wait loses its result."""

    def applied(self, asked_seconds: float | None) -> float:
        """The wait of one call; an asked one counts as far as the host bears it."""
        wanted = self.seconds if asked_seconds is None else asked_seconds
        return wanted if self.cap_seconds is None else min(wanted, self.cap_seconds)


HOSTS: Mapping[str, HostWait] = {
    # Claude Desktop and claude.ai: calls were cut at 60 s until 04/2026, at 240 s since; not configurable.
    "claude-ai": HostWait(45, cap_seconds=230),
    # Gives up at about 120 s when headless and moves longer calls to the background; its own limit is far longer.
    "claude-code": HostWait(90),
    # tool_timeout_sec: 60 unless configured.
    "codex-mcp-client": HostWait(45),
    # 60 s each, by their documentation or their users; configurable in some.
    "cursor-vscode": HostWait(45),
    "opencode": HostWait(45),
    # No limit since 1.104.
    "visual studio code": HostWait(300),
    "visual studio code - insiders": HostWait(300),
    # Version 0 gives up at 10 s unless progress comes; version 2 at 60 s.
    "inspector-client": HostWait(8),
}
"""By `clientInfo.name`, in lower case. All that is not here gets `HostWait()`."""

LONG_RESULT_META: Mapping[str, Any] = {"anthropic/maxResultSizeChars": 32_000}
"""`_meta` of tools that return long texts: Claude Code keeps results up to that size whole instead of a preview."""


def host_wait(client_name: str | None, settings: ServerSettings) -> HostWait:
    """How long calls of this host wait: by `server.hosts`, else `server.wait_seconds`, else what we know of it."""
    name = (client_name or "").lower()
    known = HOSTS.get(name, HostWait())
    entry = settings.hosts.get(name, HostEntry())
    configured = (entry.wait_seconds, settings.wait_seconds, known.seconds)
    seconds = next(each for each in configured if each is not None)
    return HostWait(seconds, known.cap_seconds if entry.max_wait_seconds is None else entry.max_wait_seconds)
