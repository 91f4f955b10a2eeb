"""What is said of an approval's answer, to the log and the model. Declined, dismissed, late and never asked differ."""

from typing import assert_never

from agent_mcp.sessions.events import AnswerWay, ApprovalGiven
from agent_mcp.sessions.log import CallState

_DO_NOT_REPEAT = "Do not try again without being asked to."


def expired(call: CallState) -> ApprovalGiven:
    """The answer that a waiting call gets when its time is up."""
    if call.shown is None:
        how: AnswerWay = "unasked"
        reason = "the request for approval has expired: nobody could be asked, and nobody answered it later"
    elif call.shown.dismissed:
        how = "dismissed"
        reason = "the request for approval has expired: the user dismissed it without deciding"
    else:
        how = "expired"
        reason = "the request for approval has expired: the user was asked and did not answer in time"
    return ApprovalGiven(call.call.id, "deny", reason, how=how)


def expired_answers(calls: list[CallState], now: float) -> list[ApprovalGiven]:
    """Those of the waiting calls whose time is up; `now` in seconds since the epoch."""
    return [expired(call) for call in calls if call.asked is not None and now >= call.asked.expires_at]


def why_denied(given: ApprovalGiven) -> str:
    """What the model reads of a denial."""
    match given.how:
        case "answered" | "granted":
            return (
                f"the user declined this call: {given.reason}"
                if given.reason
                else "the user declined this call."
            )
        case "expired" | "dismissed" | "unasked":
            return f"{given.reason}. {_DO_NOT_REPEAT}"
        case _:
            assert_never(given.how)


def in_words(given: ApprovalGiven) -> str:
    """The answer as a transcript tells it."""
    if given.decision == "deny":
        return f"denied ({given.how}): {given.reason}" if given.reason else f"denied ({given.how})"
    if given.how == "granted":
        return "allowed by a grant of this session"
    reach = {
        "once": "once",
        "arguments": "with these arguments for the session",
        "session": "for the session",
    }
    return f"allowed {reach[given.scope]}"
