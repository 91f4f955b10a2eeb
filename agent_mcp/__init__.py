"""agent_mcp: an MCP server that publishes agent sessions as tools."""


def version() -> str:
    """The installed version, or "0+unknown" when run from a tree that was never installed."""
    from importlib import metadata  # 40 ms, which only those who ask should pay.

    try:
        return metadata.version("agent-mcp")
    except metadata.PackageNotFoundError:
        return "0+unknown"
