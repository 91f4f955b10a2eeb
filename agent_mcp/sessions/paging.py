"""Pages of a list of sessions; a cursor is the place after a line, as one opaque word."""

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from agent_mcp.errors import InvalidArgumentError
from agent_mcp.sessions.log import SessionStatus
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.ports import ListedStatus, SessionListing, SessionStore
from agent_mcp.sessions.transcript import cut

_CURSOR = re.compile(r"(\d{1,20})_(\d{1,20})\.([A-Za-z0-9_-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some sessions, and where the next page begins."""

    sessions: Sequence[tuple[SessionListing, SessionStatus]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which sessions are wanted: those of a principal, of one status or all, that `query` is found in."""

    principal: str
    _: KW_ONLY
    status: str | None
    query: str
    limit: int
    cursor: str | None


async def read_page(store: SessionStore, logs: SessionLogs, asked: PageRequest) -> SessionPage:
    """A page of sessions with their status, by last update, newest first.

    Raises:
        InvalidArgumentError: the cursor is none of ours.
    """
    found: list[tuple[SessionListing, SessionStatus]] = []
    before, limit = read_cursor(asked.cursor), asked.limit
    while len(found) <= limit:
        lines = await store.list(
            principal=asked.principal,
            query=asked.query,
            status=_listed(asked.status),
            limit=limit + 1,
            before=before,
        )
        for line in lines:
            status = await _status(line, logs)
            if asked.status in (None, status):
                found.append((line, status))
        if len(lines) <= limit:
            break
        before = lines[-1].updated_at, lines[-1].id
    more = len(found) > limit
    return SessionPage(found[:limit], write_cursor(found[limit - 1][0]) if more else None)


def _listed(status: str | None) -> ListedStatus | None:
    """What the store can choose by; whether an unfinished turn waits for a person only its log says."""
    match status:
        case None | "idle" | "closed":
            return status
        case _:
            return "unfinished"


async def _status(line: SessionListing, logs: SessionLogs) -> SessionStatus:
    if line.closed:
        return "closed"
    if line.turn_status in (None, "done"):
        return "idle"
    logs.meet(line)
    return (await logs.state(line.id)).status


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
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise InvalidArgumentError(
            f"cursor: {cut(cursor, 80)!r} is not one that list_sessions returned as next_cursor."
        )
    whole, fraction, session_id = parts.groups()
    return float(f"{whole}.{fraction}"), session_id
