"""The eight published tools at a glance: names, descriptions, arguments and the shape of what comes back.

Every host pays for this text in each request: names, descriptions and input schemas are at most 6,000 characters.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from mcp_types import Tool, ToolAnnotations

from agent_mcp.server import arguments as args
from agent_mcp.server.hosts import LONG_RESULT_META

_TURN_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "session_id": {"type": ["string", "null"]},
        "status": {"type": ["string", "null"]},
        "turn": {"type": "integer"},
        "text": {"type": "string"},
        "stop_reason": {"type": ["string", "null"]},
        "steps": {"type": "array"},
        "usage": {"type": "object"},
        "approvals": {"type": "array"},
        "queued_messages": {"type": "integer"},
        "warnings": {"type": "array"},
        "error": {"type": ["object", "null"]},
        "next": {"type": "string"},
    },
    "required": ["session_id", "status", "turn", "text", "stop_reason", "error", "next"],
}
_SUMMARY_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "session_id": {"type": ["string", "null"]},
        "status": {"type": "string"},
        "transcript": {"type": "array"},
        "next_offset": {"type": ["integer", "null"]},
        "error": {"type": ["object", "null"]},
    },
    "required": ["session_id", "error"],
}
_LIST_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sessions": {"type": "array"},
        "next_cursor": {"type": ["string", "null"]},
        "error": {"type": ["object", "null"]},
    },
    "required": ["sessions", "next_cursor", "error"],
}


@dataclass(frozen=True, slots=True)
class _Entry:
    arguments: type[args.Arguments]
    name: str
    title: str
    description: str
    _: KW_ONLY
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    output: dict[str, Any] = field(default_factory=lambda: _TURN_OUTPUT)
    long_result: bool = False

    def to_tool(self) -> Tool:
        return Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=args.Schemas.of(self.arguments),
            output_schema=self.output,
            annotations=ToolAnnotations(
                read_only_hint=self.read_only,
                destructive_hint=self.destructive,
                idempotent_hint=self.read_only or self.idempotent,
            ),
            _meta=dict(LONG_RESULT_META) if self.long_result else None,
        )


_ENTRIES = (
    _Entry(
        args.StartSession,
        "start_session",
        "Start a session",
        "Start an agent session with its own model, tools and history. With `message` its first turn runs: the "
        "agent works through it with its tools and answers. Returns the answer, or status running when the wait "
        "is over first; then call send_message with the session_id and no message.",
        long_result=True,
    ),
    _Entry(
        args.SendMessage,
        "send_message",
        "Send a message",
        "Send a message to a session and wait for the answer. Without `message`: keep waiting for the running "
        "turn, or read the last one again. A message sent while a turn runs joins it.",
        long_result=True,
    ),
    _Entry(
        args.Summary,
        "summary",
        "Summarize a session",
        "Figures of a session: turns, steps, tool calls, usage, servers; with detail steps or full also the "
        "transcript, in pages.",
        read_only=True,
        output=_SUMMARY_OUTPUT,
        long_result=True,
    ),
    _Entry(
        args.ListSessions,
        "list_sessions",
        "List sessions",
        "Sessions, newest first.",
        read_only=True,
        output=_LIST_OUTPUT,
    ),
    _Entry(
        args.Approve,
        "approve",
        "Answer an approval",
        "Allow or deny a tool call that waits for approval. Ask the user first: the decision is theirs.",
        # What it lets run may be. Hosts ask for such a tool, an agent-mcp above this one among them.
        destructive=True,
        idempotent=True,
    ),
    _Entry(args.OneSession, "cancel", "Cancel a turn", "Stop the session's running turn.", idempotent=True),
    _Entry(
        args.ForkSession,
        "fork_session",
        "Fork a session",
        "Copy a session's finished steps into a new session, to try another way from there.",
    ),
    _Entry(
        args.OneSession,
        "close_session",
        "Close a session",
        "Cancel what runs and take no more messages. The transcript stays readable.",
        idempotent=True,
    ),
)


def published_tools() -> list[Tool]:
    """The tool list as hosts get it; the same at every start."""
    return [entry.to_tool() for entry in _ENTRIES]
