"""A small real MCP server that ships with the package: a desk with notes, a word count and a clock.

`python -m agent_mcp.cli.demo_server` serves it over stdio. It knows nothing of agent-mcp; notes live as long as it
runs.
"""

from datetime import UTC, datetime

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)


class Desk:
    """What lies on the desk."""

    def __init__(self) -> None:
        self._notes: list[str] = []

    def add_note(self, text: str) -> str:
        """Keep a note."""
        self._notes.append(text)
        return f"kept as note {len(self._notes)}"

    def list_notes(self) -> str:
        """All notes that were kept, numbered."""
        numbered = [f"{number}. {text}" for number, text in enumerate(self._notes, start=1)]
        return "\n".join(numbered) or "no notes yet"

    def count_words(self, text: str) -> str:
        """How many words a text has."""
        return f"{len(text.split())} words"

    def current_time(self) -> str:
        """The time now, UTC."""
        return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def build_desk() -> MCPServer:
    """The server with its four tools."""
    desk, server = Desk(), MCPServer("desk", log_level="WARNING")
    for tool, annotations in (
        (desk.add_note, _ADDS),
        (desk.list_notes, _READS),
        (desk.count_words, _READS),
        (desk.current_time, _READS),
    ):
        server.tool(annotations=annotations, structured_output=False)(tool)
    return server


if __name__ == "__main__":
    build_desk().run("stdio")
