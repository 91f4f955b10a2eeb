"""The one sentence in a result that says which call makes sense now: models follow it where they would guess."""

from agent_mcp.sessions.reports import Problem, TurnReport

NEXT_AFTER_REFUSAL = {
    "SESSION_NOT_FOUND": "Call list_sessions for the sessions there are, or start_session for a new one.",
    "SESSION_CLOSED": "Call summary to read it, or fork_session to go on from it.",
    "AGENT_NOT_FOUND": "Call start_session with the name of a known agent, or without one.",
    "APPROVAL_NOT_FOUND": "Call send_message without a message to see what waits.",
    "UNSUPPORTED_PROVIDER": "Call start_session with the name of a known model, or without one.",
}
NEXT_AFTER_FAILURE = {
    "MODEL_UNAVAILABLE": "Call send_message with the same message later, or start_session with another model.",
    "CONTEXT_OVERFLOW": "Call fork_session with an earlier step, or start_session for a new session.",
}
"""Both by error code. An error that is not here says the way out in its hint."""


def next_after_refusal(code: str, hint: str) -> str:
    """The same for a call that was refused and changed nothing."""
    if code in NEXT_AFTER_REFUSAL:
        return NEXT_AFTER_REFUSAL[code]
    return f"{_sentence(hint.rstrip('.'))}." if hint else "Mend the arguments and call again."


def _sentence(hint: str) -> str:
    return hint[:1].upper() + hint[1:]


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
        return _next_after_failure(report.problem)
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


def _next_after_failure(problem: Problem) -> str:
    hint = _sentence(problem.hint)
    if hint and not hint.endswith("."):
        hint += "; then call send_message to try again."
    return (
        NEXT_AFTER_FAILURE.get(problem.code)
        or hint
        or "Call send_message to try again; nothing of the session is lost."
    )


NEXT_AFTER_STOP = {
    "max_steps": "The step limit ended the turn: call send_message with a message such as 'go on' for another one.",
    "max_tokens": "The answer was cut at the model's output limit: call send_message and ask for the rest.",
    "budget": "The session's budget is spent: read it with summary, or go on in a new session.",
    "cancelled": "The turn was cancelled: call send_message with another message to go on.",
    "refusal": "The model refused to go on: call send_message with another message.",
    "interrupted": "The turn ended its process three times and was given up: call send_message to go another way.",
}
