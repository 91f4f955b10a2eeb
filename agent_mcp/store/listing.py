"""Pages of a list of sessions, and what is kept beside the log for them: see the migration `0005_listing`.

A page is read from the index `sessions_listed` in its order and stops when it is full. Only a query that few sessions
match has to look at the index of all.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from agent_mcp.sessions.events import SessionClosed, UserMessageAdded
from agent_mcp.sessions.ports import ListedStatus, SessionListing
from agent_mcp.store.codec import Encoded, clean

TITLE_CHARACTERS = 80
_LOOKED_AT_CHARACTERS = 400
"""Of a message that is to give a title: enough for one behind some white space."""

_SOUGHT = "(:query = '' OR instr(sought, :query))"
_AFTER = "(:before_at IS NULL OR (updated, id) < (:before_at, :before_id))"
_NEWEST = "ORDER BY updated DESC, id DESC LIMIT :limit"
_UNFINISHED = "SELECT session FROM turns WHERE status <> 'done'"

# The subqueries on the outside run for the page alone.
_PAGE = """
SELECT
    id, json_extract(config, '$.agent'), created, updated,
    (SELECT coalesce(max(n), 0) FROM turns WHERE session = s.id),
    (SELECT status FROM turns WHERE session = s.id ORDER BY n DESC LIMIT 1),
    closed, coalesce(title, '')
FROM sessions AS s
WHERE id IN ({chosen})
ORDER BY updated DESC, id DESC
"""

SET_TITLE = """
UPDATE sessions SET title = :title, sought = sought || char(10) || :folded WHERE id = :session AND title IS NULL
"""
CLOSE = "UPDATE sessions SET closed = 1 WHERE id = ?"
SET_SOUGHT = "UPDATE sessions SET sought = ? WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions a page is of; see `SessionStore.list`."""

    principal: str | None
    query: str
    status: ListedStatus | None
    limit: int
    before: tuple[float, str] | None


def read_page(connection: sqlite3.Connection, wanted: Wanted) -> Sequence[SessionListing]:
    """The page, by last update, newest first."""
    before_at, before_id = wanted.before or (None, None)
    parameters = {
        "principal": wanted.principal,
        "query": folded(clean(wanted.query)),
        "limit": wanted.limit,
        "before_at": before_at,
        "before_id": before_id,
    }
    return [_to_listing(row) for row in connection.execute(page_sql(wanted), parameters).fetchall()]


def page_sql(wanted: Wanted) -> str:
    """The statement for a page; its text says what is compared, so that SQLite can choose by it."""
    chosen = " UNION ALL ".join(f"SELECT * FROM ({_choice(wanted, part)})" for part in _parts(wanted.status))
    return _PAGE.format(chosen=f"SELECT id FROM ({chosen}) {_NEWEST}")


def _parts(status: ListedStatus | None) -> Sequence[str]:
    """Conditions that together cover what is wanted; each keeps the index's order."""
    match status:
        case None:
            return "closed = 0", "closed = 1"
        case "closed":
            return ("closed = 1",)
        case "idle":
            return (f"closed = 0 AND id NOT IN ({_UNFINISHED})",)
        case "unfinished":
            # Few at any time: found by their turns and not by the list. `+` keeps SQLite from the list's index.
            return (f"+closed = 0 AND id IN ({_UNFINISHED})",)
        case _:
            assert_never(status)


def _choice(wanted: Wanted, part: str) -> str:
    conditions = [part, _AFTER, _SOUGHT]
    if wanted.principal is not None:
        own = "+principal" if wanted.status == "unfinished" else "principal"
        conditions.insert(0, f"{own} = :principal")
    return f"SELECT id, updated FROM sessions WHERE {' AND '.join(conditions)} {_NEWEST}"


def note_session(connection: sqlite3.Connection, session_id: str, agent: str) -> None:
    """Keep what a list must know of a session that is stored."""
    connection.execute(SET_SOUGHT, (to_sought(session_id, agent), session_id))


def note_event(connection: sqlite3.Connection, session_id: str, event: Encoded) -> None:
    """Keep what a list must know of an event that is stored: the first message, and the end of the session."""
    match event.data:
        case UserMessageAdded(text=text):
            title = to_title(text)
            parameters = {"session": session_id, "title": title, "folded": title.casefold()}
            connection.execute(SET_TITLE, parameters)
        case SessionClosed():
            connection.execute(CLOSE, (session_id,))
        case _:
            pass


def to_title(message: str) -> str:
    """One line of at most 80 characters."""
    return _in_one_line(message[:_LOOKED_AT_CHARACTERS])[:TITLE_CHARACTERS]


def to_sought(session_id: str, agent: str, title: str | None = None) -> str:
    """What a query is sought in."""
    words = (session_id, agent) if title is None else (session_id, agent, title)
    return "\n".join(words).casefold()


def folded(query: str) -> str:
    """A query, as it is sought."""
    return _in_one_line(query).casefold()


def add_functions(connection: sqlite3.Connection) -> None:
    """What the migration needs beyond SQLite."""
    connection.create_function("title", 1, to_title, deterministic=True)
    connection.create_function("sought", 3, to_sought, deterministic=True)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _to_listing(row: Any) -> SessionListing:
    session_id, agent, created, updated, turns, status, closed, title = row
    return SessionListing(
        id=session_id,
        agent=agent,
        created_at=created,
        updated_at=updated,
        turns=turns,
        turn_status=status,
        closed=bool(closed),
        title=title,
    )
