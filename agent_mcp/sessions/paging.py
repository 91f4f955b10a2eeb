"""Cursors of list_sessions: the place after a line, as one opaque word."""

from agent_mcp.errors import InvalidArgumentError
from agent_mcp.sessions.ports import SessionListing


def write_cursor(last: SessionListing) -> str:
    """The cursor of the page that begins after this line."""
    return f"{last.updated_at!r}.{last.id}".replace(".", "_", 1)


def read_cursor(cursor: str | None) -> tuple[float, str] | None:
    """The (`updated_at`, `id`) that a cursor stands for; None for the first page.

    Raises:
        InvalidArgumentError: it is none of ours.
    """
    if cursor is None:
        return None
    seconds, dot, session_id = cursor.partition(".")
    try:
        updated_at = float(seconds.replace("_", "."))
    except ValueError:
        updated_at = None
    if updated_at is None or not dot or not session_id:
        raise InvalidArgumentError(
            f"cursor: {cursor!r} is not one that list_sessions returned as next_cursor."
        )
    return updated_at, session_id
