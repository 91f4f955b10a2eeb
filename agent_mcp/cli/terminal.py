"""What others wrote (models, servers), made fit for a terminal: it must not be able to move the cursor, hide text or
imitate ours. And numbers as people write them."""

import json

from agent_mcp.agent.messages import ToolCall
from agent_mcp.sessions.veil import visible


def shown_arguments(call: ToolCall) -> str:
    """The whole arguments as one line of JSON, every character that is not visible written as an escape."""
    text = call.raw_arguments if call.arguments is None else json.dumps(call.arguments, ensure_ascii=False)
    return visible(text)


def counted(number: int, noun: str) -> str:
    """`1 session`, `2 sessions`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def without_controls(text: str) -> str:
    """The text without control characters (ESC among them) but for line breaks and tabs."""
    return "".join(char for char in text if char in "\n\t" or not _is_control(char))


def _is_control(char: str) -> bool:
    """C0, DEL and C1."""
    return ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F
