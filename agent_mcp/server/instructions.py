"""What a host's model is told of us before it has called anything.

Hosts cut instructions at 2,048 characters, so they stay under 1,500, with the rule that matters first.
"""

from collections.abc import Mapping

from agent_mcp.sessions.transcript import cut

MAX_CHARACTERS = 1_450
DESCRIPTION_CHARACTERS = 120

RULES = (
    "Agent sessions as tools. start_session gives a task to an agent that has its own model, tools and history; "
    "send_message goes on with it; summary tells what it did. A turn belongs to the server: when a call returns "
    "status running, call send_message with the session_id and no message to keep waiting; nothing is lost if you "
    "do not. When the status is needs_approval, put each waiting call to the user and answer with approve. Keep the "
    "session_id; list_sessions finds it again."
)


def instructions(agents: Mapping[str, str]) -> str:
    """The rules, and the agents there are (name and description), as many as fit."""
    text = RULES
    for name, description in agents.items():
        head = "" if text is not RULES else " Agents (the `agent` of start_session): "
        about = f" ({cut(' '.join(description.split()), DESCRIPTION_CHARACTERS)})" if description else ""
        longer = f"{text}{head or ', '}{name}{about}"
        if len(longer) > MAX_CHARACTERS:
            return f"{text}, …"
        text = longer
    return text if text is RULES else f"{text}."
