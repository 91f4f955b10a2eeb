"""What a model is told of a tool, and the failures that a tool call can meet before it reaches a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model and the policies see it."""

    name: str
    """`server__tool`, made from `[A-Za-z0-9_-]`, at most 64 characters, unique."""
    description: str
    input_schema: Mapping[str, Any]
    """A JSON Schema whose top level is an object."""
    server: str
    tool_name: str
    """The server's own name for it."""
    read_only: bool | None = None
    """What the server declares (`readOnlyHint`); None where it declares nothing."""
    idempotent: bool | None = None
    destructive: bool | None = None

    @property
    def full_name(self) -> str:
        """`server__tool` uncut, which patterns in the config match."""
        return f"{self.server}__{self.tool_name}"

    @property
    def rerunnable(self) -> bool:
        """Whether a crash may repeat a call: only what declares itself read-only or idempotent."""
        return self.read_only is True or self.idempotent is True
