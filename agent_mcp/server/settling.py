"""What a person at a host chose for waiting calls, written into the session. Knows no protocol (see `asking`)."""

from collections.abc import Mapping
from typing import Literal

from agent_mcp.sessions.events import GrantScope
from agent_mcp.sessions.service import SessionService

Decision = Literal["allow", "allow_arguments", "allow_session", "deny", "dismissed"]
"""`dismissed`: they put the question away without deciding."""

Answers = Mapping[str, Decision]
"""By call id. A call that is not in it was not decided."""

CHOICES: Mapping[str, Decision] = {
    "allow": "allow",
    "allow these arguments for this session": "allow_arguments",
    "allow this tool for this session": "allow_session",
    "deny": "deny",
}
"""What a form offers, in the person's words."""

_SCOPES: Mapping[Decision, GrantScope] = {
    "allow": "once",
    "allow_arguments": "arguments",
    "allow_session": "session",
}


async def settle(service: SessionService, session_id: str, answers: Answers) -> bool:
    """Write the answers down; whether any call was decided.

    Raises:
        PublicError: a call is unknown, or the store fails.
    """
    dismissed = [call_id for call_id, decision in answers.items() if decision == "dismissed"]
    await service.shown(session_id, dismissed, dismissed=True)
    denied = [call_id for call_id, decision in answers.items() if decision == "deny"]
    # First: an `allow` for the whole session would else let through what the same form denies.
    for call_id in denied:
        await service.approve(session_id, call_id, "deny", reason="declined at the host", wait_seconds=0)
    for call_id, decision in answers.items():
        if scope := _SCOPES.get(decision):
            await service.approve(session_id, call_id, "allow", scope=scope, wait_seconds=0)
    return len(dismissed) < len(answers)
