"""How many files this process may open, and how many its config can need. Windows has no such limit."""

from collections.abc import Iterator

from agent_mcp.cli.findings import Finding
from agent_mcp.config.schema import Config

_OWN = 128
"""Python, the store with its readers and locks, connections to models."""
_OF_A_CHILD = 5
"""Three pipes, what tells of its exit, and one while it starts."""
_OF_A_SERVER = 4
"""Connections to one HTTP server at once."""


def needed_files(config: Config, *, http: bool) -> int:
    """The most that this config can have open at once; with `http` for our own hosts' connections too."""
    settings = config.server
    remote = sum(entry.url is not None for entry in config.servers.values())
    hosts = settings.max_connections if http else 0
    return _OWN + _OF_A_CHILD * settings.max_children + _OF_A_SERVER * remote + hosts


def raise_limit(config: Config, *, http: bool) -> None:
    """Let this process open what its config can need, as far as it may decide that itself."""
    limits = _limits()
    if limits is None:
        return
    soft, hard = limits
    wanted = min(needed_files(config, http=http), hard)
    if wanted > soft:
        _set_soft(wanted, hard)


def check_open_files(config: Config) -> Iterator[Finding]:
    """A finding where the system allows less than the config can need."""
    limits, needed = _limits(), needed_files(config, http=bool(config.server.tokens or config.server.oauth))
    if limits is not None and limits[1] < needed:
        message = f"{limits[1]} files may be open at once, and this config can need {needed}"
        fix = "raise the hard limit (ulimit -Hn), or lower server.max_connections and server.max_children"
        yield Finding("WARN", "open files", message, fix)


def _limits() -> tuple[int, int] | None:
    """The soft and the hard limit; one without end is a very large number."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = (
        2**31 if each == resource.RLIM_INFINITY else each
        for each in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return soft, hard


def _set_soft(wanted: int, hard: int) -> None:
    import resource

    own_hard = resource.RLIM_INFINITY if hard == 2**31 else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, own_hard))
    except (OSError, ValueError):
        return  # macOS has one more limit of its own; what was allowed before still is.
