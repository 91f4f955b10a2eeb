"""The writes of the log, each a function over one open transaction.

Every function checks first and writes after: when it raises one of our errors, nothing of it is in the transaction,
so the writer can go on with the other writes of the same batch. Knows no threads and no event loop.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_mcp.errors import (
    FencedError,
    SessionBusyError,
    SessionClosedError,
    SessionExistsError,
    session_not_found,
)
from agent_mcp.sessions.events import Event, ModelReplied
from agent_mcp.sessions.ports import Charge, Claim, NewSession, Submitted
from agent_mcp.sessions.spending import day_of
from agent_mcp.store import queries, upkeep_queries
from agent_mcp.store.codec import Encoded, decode, encode_profile
from agent_mcp.store.listing import note_event, note_session

MAX_WAITING_MESSAGES = 20
"""More messages than this that the model has not read are refused."""

IsAlive = Callable[[str], bool]
"""Whether the process with this owner id still lives."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One open write transaction, shared by a batch, and what was stored in it for those who follow the log."""

    connection: sqlite3.Connection
    at: float
    """The time of all its events, in seconds since the epoch."""
    stored: list[tuple[str, Sequence[Event]]] = field(default_factory=list[tuple[str, Sequence[Event]]])

    def row(self, sql: str, parameters: Sequence[Any] | dict[str, Any]) -> Any | None:
        """The first row, or None. Fetches all: a statement left half-read would keep the commit waiting."""
        rows = self.connection.execute(sql, parameters).fetchall()
        return rows[0] if rows else None

    def run(self, sql: str, parameters: Sequence[Any] | dict[str, Any]) -> None:
        """For statements that answer nothing."""
        self.connection.execute(sql, parameters)


def create(
    tx: Transaction, session: NewSession, *, message: Encoded | None, past: Sequence[tuple[int, Encoded]]
) -> None:
    """A new session, with its first turn if there is a `message`, with a fork's `past` (turn, event)."""
    parameters = {
        "id": session.id,
        "config": encode_profile(session.profile),
        "origin": session.origin,
        "principal": session.principal,
        "parent": session.forked_from,
        "at": tx.at,
    }
    if tx.row(queries.INSERT_SESSION, parameters) is None:
        raise SessionExistsError(f"there is a session {session.id} already", hint="choose another session_id")
    note_session(tx.connection, session.id, session.profile.agent)
    turns = sorted({turn for turn, _ in past if turn > 0})
    for turn in turns:
        tx.run(queries.INSERT_TURN, (session.id, turn, "done"))
    _append(tx, session.id, past)
    if message is not None:
        _open_turn(tx, session.id, max(turns, default=0) + 1, message)


def submit(tx: Transaction, session_id: str, message: Encoded) -> Submitted:
    """Resent, joined or a new turn: decided where no other writer can come between."""
    state = tx.row(queries.SUBMIT_STATE, (session_id,))
    if state is None:
        raise session_not_found(session_id)
    closed, turn, status, delivered, newest = state
    if closed:
        raise SessionClosedError(f"session {session_id} is closed", hint="start a new one, or fork this one")
    if turn is None:
        return _open_turn(tx, session_id, 1, message)
    if not delivered and newest is not None and decode("user_message", newest) == message.data:
        return Submitted(turn, "resent")
    if status == "done":
        return _open_turn(tx, session_id, turn + 1, message)
    if _count_held(tx, session_id) >= MAX_WAITING_MESSAGES:
        problem = f"{MAX_WAITING_MESSAGES} messages already wait for the model in session {session_id}"
        raise SessionBusyError(problem, hint="wait until the turn has gone on, or cancel it")
    _append(tx, session_id, [(turn, message)])
    return Submitted(turn, "joined")


def append(
    tx: Transaction,
    session_id: str,
    turn: int,
    events: Sequence[Encoded],
    *,
    epoch: int | None,
    charge: Charge | None = None,
) -> Sequence[Event]:
    """Events at the end of the log; with `epoch` only if no later claim has ended it. The day pays the `charge`."""
    stored = _append(tx, session_id, [(turn, event) for event in events], epoch=epoch)
    if charge is not None:
        figures = {name: getattr(charge.spent, name) for name in queries.FIGURES}
        account = {"day": day_of(tx.at), "principal": charge.principal, "agent": charge.agent}
        tx.run(queries.CHARGE, account | figures)
    return stored


def claim(tx: Transaction, session_id: str, turn: int, *, owner: str, is_alive: IsAlive) -> Claim | None:
    """Make `owner` run the turn, if nobody else living does and no turn before it is left."""
    state = tx.row(queries.CLAIM_STATE, (session_id, turn))
    if state is None:
        return None
    status, old_owner, claims, stuck, waits = state
    if status == "done" or waits or (status == "running" and old_owner != owner and is_alive(old_owner)):
        return None
    # Its own earlier claim did not end this process: the disk was full, or the like.
    attempts = claims + (old_owner != owner) if stuck else 1
    epoch, head = _bump_epoch(tx, session_id)
    tx.run(
        queries.OWN_TURN,
        {"owner": owner, "claims": attempts, "head": head, "session": session_id, "turn": turn},
    )
    return Claim(session_id, turn, epoch, attempts)


def end_turn(
    tx: Transaction, claim: Claim, events: Sequence[Encoded], *, unread_after: int | None, reopen: bool
) -> bool:
    """The end of a claimed turn, unless there is a message that the model must read first."""
    session_id, turn = claim.session_id, claim.turn
    if tx.row(queries.HOLDS_CLAIM, (session_id, turn, claim.epoch)) is None:
        raise FencedError(f"turn {turn} of session {session_id} is no longer ours")
    unread = unread_after is not None and _has_message_after(tx, session_id, unread_after)
    if unread and not reopen:
        return False
    _finish(tx, session_id, turn, events)
    if unread:
        tx.run(queries.INSERT_TURN, (session_id, turn + 1, "queued"))
    return True


def seize(
    tx: Transaction, session_id: str, turn: int, events: Sequence[Encoded], *, head: int | None
) -> bool:
    """The end of a turn whoever runs it, unless the log has grown beyond `head`: its owner's epoch is over then."""
    row = tx.row(queries.HEAD, (session_id,))
    if row is None:
        raise session_not_found(session_id)
    if head not in (None, row[0]) or tx.row(queries.IS_UNFINISHED, (session_id, turn)) is None:
        return False
    _bump_epoch(tx, session_id)
    _finish(tx, session_id, turn, events)
    return True


def delete(tx: Transaction, session_id: str, *, is_alive: IsAlive) -> None:
    """The session, its turns and its log, unless a living process is at work on it."""
    if tx.row(queries.HEAD, (session_id,)) is None:
        raise session_not_found(session_id)
    running = tx.row(queries.RUNNING_OWNERS, (session_id,))
    if running is not None and is_alive(running[0]):
        raise SessionBusyError(f"a turn of session {session_id} is running", hint="cancel it first")
    remove(tx, session_id)


def remove(tx: Transaction, session_id: str) -> None:
    """All rows of a session."""
    for sql in (upkeep_queries.DELETE_BLOBS, upkeep_queries.DELETE_BLOB_REFS):
        tx.run(sql, {"session": session_id})
    for sql in (queries.DELETE_SESSION, queries.DELETE_TURNS, queries.DELETE_EVENTS):
        tx.row(sql, (session_id,))


def _open_turn(tx: Transaction, session_id: str, turn: int, message: Encoded) -> Submitted:
    tx.run(queries.INSERT_TURN, (session_id, turn, "queued"))
    _append(tx, session_id, [(turn, message)])
    return Submitted(turn, "new")


def _finish(tx: Transaction, session_id: str, turn: int, events: Sequence[Encoded]) -> None:
    _append(tx, session_id, [(turn, event) for event in events])
    tx.run(queries.FINISH_TURN, (session_id, turn))


def _append(
    tx: Transaction, session_id: str, rows: Sequence[tuple[int, Encoded]], *, epoch: int | None = None
) -> Sequence[Event]:
    seq = _advance(tx, session_id, len(rows), epoch) - len(rows)
    events: list[Event] = []
    for turn, encoded in rows:
        seq += 1
        tx.run(queries.INSERT_EVENT, (session_id, seq, turn, encoded.kind, encoded.text, tx.at))
        note_event(tx.connection, session_id, encoded)
        if encoded.blobs:
            keep_blobs(tx, session_id, seq, encoded)
        events.append(Event(seq, turn, tx.at, encoded.data))
    if events:
        tx.stored.append((session_id, events))
    return events


def keep_blobs(tx: Transaction, session_id: str, seq: int, encoded: Encoded) -> None:
    """Store what an event refers to, where it is not there yet, and that it does."""
    for hashed, content in encoded.blobs:
        tx.run(upkeep_queries.INSERT_BLOB, (hashed, content))
        tx.run(upkeep_queries.INSERT_BLOB_REF, (session_id, seq, hashed))


def _advance(tx: Transaction, session_id: str, count: int, epoch: int | None) -> int:
    """Reserve `count` sequence numbers; returns the last of them."""
    if epoch is None:
        row = tx.row(queries.ADVANCE, (count, tx.at, session_id))
    else:
        row = tx.row(queries.ADVANCE_FENCED, (count, tx.at, session_id, epoch))
    if row is not None:
        return row[0]
    if epoch is None or tx.row(queries.HEAD, (session_id,)) is None:
        raise session_not_found(session_id)
    raise FencedError(f"epoch {epoch} of session {session_id} is over")


def _bump_epoch(tx: Transaction, session_id: str) -> tuple[int, int]:
    """Ends the epoch of whoever held it; returns the new one and the log's head."""
    row = tx.row(queries.BUMP_EPOCH, (session_id,))
    if row is None:
        raise session_not_found(session_id)
    return row[0], row[1]


def _count_held(tx: Transaction, session_id: str) -> int:
    """Messages that joined the newest turn and that the model had not been shown at its newest reply."""
    newest = tx.row(queries.NEWEST_REPLY, (session_id,))
    # Decoded here and not by json_extract: tool arguments may hold NaN, which SQLite calls malformed.
    reply = None if newest is None else decode("model_reply", newest[0])
    read = reply.read if isinstance(reply, ModelReplied) else 0
    [ended] = tx.row(queries.LAST_END, (session_id,)) or [0]
    [unread] = tx.row(queries.COUNT_MESSAGES_AFTER, (session_id, max(read, ended))) or [0]
    # Until its first reply the message that opened the turn is unread too, and it is not a held one.
    return unread if read > ended else unread - 1


def _has_message_after(tx: Transaction, session_id: str, seq: int) -> bool:
    return tx.row(queries.HAS_MESSAGE_AFTER, (session_id, seq)) is not None
