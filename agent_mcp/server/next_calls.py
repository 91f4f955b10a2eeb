"""The one sentence in a result that says which call makes sense now: models follow it where they would guess."""

from agent_mcp.sessions.reports import TurnReport

NEXT_AFTER = {
    "SESSION_NOT_FOUND": "Call list_sessions for the sessions there are, or start_session for a new one.",
    "SESSION_CLOSED": "Call summary to read it, or fork_session to go on from it.",
    "APPROVAL_NOT_FOUND": "Call send_message without a message to see what waits.",
}


ANSWERED_OUTSIDE = (
    "The user answers the waiting calls in a terminal: `agent-mcp approvals` shows them, `agent-mcp approvals allow "
    "CALL_ID` or `deny CALL_ID` answers. Tell them, then call send_message with no message."
)


def next_call(report: TurnReport, *, outside: bool = False) -> str:
    """One sentence: the call that makes sense now."""
    if report.status == "closed":
        return "The session is closed: summary reads it, fork_session goes on from it."
    if report.approvals and outside:
        return ANSWERED_OUTSIDE
    if report.approvals:
        return "Ask the user about each waiting call, then call approve with its call_id and allow or deny."
    if report.status == "running":
        return "Call send_message with this session_id and no message to keep waiting; the turn goes on meanwhile."
    if report.problem is not None:
        return report.problem.hint or "Call send_message to try again; nothing of the session is lost."
    if report.forked_from is not None:
        return f"This is a fork of {report.forked_from}: call send_message with this session_id to go another way."
    if report.turn == 0:
        return "Call send_message with this session_id and a message."
    if report.after_limit:
        return report.after_limit
    return NEXT_AFTER_STOP.get(
        report.stop_reason or "",
        "Call send_message with this session_id to go on, or close_session when done.",
    )


NEXT_AFTER_STOP = {
    "max_steps": "The step limit ended the turn: call send_message with a message such as 'go on' for another one.",
    "max_tokens": "The answer was cut at the model's output limit: call send_message and ask for the rest.",
    "budget": "The session's budget is spent: read it with summary, or go on in a new session.",
    "cancelled": "The turn was cancelled: call send_message with another message to go on.",
    "refusal": "The model refused to go on: call send_message with another message.",
    "interrupted": "The turn ended its process three times and was given up: call send_message to go another way.",
}
