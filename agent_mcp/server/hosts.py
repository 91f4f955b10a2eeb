"""What we know of hosts: how long each waits for a tool call before it gives up.

A call that outlives its host's limit loses its result and, in some hosts, wedges the connection; so a call waits
less than that and returns `running`. Sources: the hosts' issue trackers and measurements, November 2026.
"""

DEFAULT_WAIT_SECONDS = 45.0
"""Fits a limit of 60 s, which is what most hosts have and what is assumed of an unknown one."""

WAIT_SECONDS = {
    "claude-code": 90.0,  # gives up at 120 s when headless; its own limit is far longer
    "visual studio code": 300.0,  # no limit since 1.104
    "visual studio code - insiders": 300.0,
    "inspector-client": 8.0,  # version 0 gives up at 10 s unless progress comes
}
"""Seconds by `clientInfo.name`, in lower case."""

MAX_WAIT_SECONDS = 24 * 3600.0
"""The longest wait that a caller may ask for."""


def wait_seconds_for(client_name: str | None) -> float:
    """How long a call of this host waits when neither the call nor the config says so."""
    return WAIT_SECONDS.get((client_name or "").lower(), DEFAULT_WAIT_SECONDS)
