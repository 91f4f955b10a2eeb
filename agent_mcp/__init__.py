"""agent_mcp: an MCP server that publishes agent sessions as tools."""

from importlib import metadata as _metadata


def version() -> str:
    """The installed version, or "0+unknown" when run from a tree that was never installed."""
    try:
        return _metadata.version("agent-mcp")
    except _metadata.PackageNotFoundError:
        return "0+unknown"
