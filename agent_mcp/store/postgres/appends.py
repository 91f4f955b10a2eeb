"""Events at the end of a log: as a transaction of one statement, or as part of a larger one."""

from collections.abc import Sequence
from typing import Any, LiteralString

from agent_mcp.errors import FencedError, SessionNotFoundError, session_not_found
from agent_mcp.sessions.events import Event
from agent_mcp.sessions.ports import Charge
from agent_mcp.sessions.spending import day_of
from agent_mcp.store.codec import Encoded
from agent_mcp.store.postgres import blob_writes, queries
from agent_mcp.store.postgres.database import Connection, Database, Parameters, Trace, Transaction, found
from agent_mcp.store.queries import FIGURES


async def append(
    database: Database,
    session_id: str,
    turn: int,
    events: Sequence[Encoded],
    *,
    epoch: int | None,
    charge: Charge | None = None,
) -> Sequence[Event]:
    """Events at the end of the log; with `epoch` only if no later claim has ended it. The day pays the `charge`.

    The write that there is most of: one statement, which is its own transaction, and one way to the server and back.

    Raises:
        FencedError, SessionNotFoundError, StoreError.
    """
    rows = [(turn, event) for event in events]
    if any(event.blobs for event in events):
        stored, _ = await database.write(
            lambda tx: append_within(tx, session_id, rows, epoch=epoch, charge=charge)
        )
        return stored
    parameters = _append_parameters(session_id, rows, database.now(), epoch) | _account(
        charge, database.now()
    )
    sql = queries.APPEND if charge is None else queries.APPEND_AND_CHARGE
    tried = False

    async def attempt(connection: Connection) -> int | None:
        nonlocal tried
        if tried and (head := await _head_after(connection, parameters)) is not None:
            return head
        tried = bool(events)
        cursor = await connection.execute(sql, parameters)
        row = await cursor.fetchone()
        return None if row is None else row[0]

    head = await database.alone(attempt)
    if head is None:
        known = await database.row(queries.SESSION, {"session": session_id})
        raise _refused(session_id, None if known is None else epoch)
    return _as_stored(head, rows, parameters["at"])


async def _head_after(connection: Connection, parameters: Parameters) -> int | None:
    """The end of an append whose answer was lost, if it is in the log."""
    rows = await found(connection, trace_of(parameters["session"], queries.APPENDED_AT, parameters))
    same = [(kind, data) for _, kind, data in rows] == [
        *zip(parameters["kinds"], parameters["data"], strict=True)
    ]
    return rows[-1][0] if same else None


def trace_of(session_id: str, sql: LiteralString, parameters: Parameters) -> Trace:
    """`sql`, which finds what a write has left, once nobody else is at work on the session's row."""
    return (queries.LOCK, {"session": session_id}), (sql, parameters)


async def append_within(
    tx: Transaction,
    session_id: str,
    rows: Sequence[tuple[int, Encoded]],
    *,
    epoch: int | None = None,
    charge: Charge | None = None,
) -> Sequence[Event]:
    """The same as part of a transaction, of events of any turns.

    Raises:
        FencedError, SessionNotFoundError.
    """
    sql = queries.APPEND if charge is None else queries.APPEND_AND_CHARGE
    parameters = _append_parameters(session_id, rows, tx.at, epoch) | _account(charge, tx.at)
    advanced = await tx.row(sql, parameters)
    if advanced is None:
        known = await tx.row(queries.SESSION, {"session": session_id})
        raise _refused(session_id, None if known is None else epoch)
    events = _as_stored(advanced[0], rows, tx.at)
    await blob_writes.keep(tx, session_id, events, [encoded for _, encoded in rows])
    if events:
        tx.stored.append((session_id, events))
        tx.trace = trace_of(session_id, queries.APPENDED, _last_of(session_id, events, rows))
    return events


def _append_parameters(
    session_id: str, rows: Sequence[tuple[int, Encoded]], at: float, epoch: int | None
) -> dict[str, Any]:
    return {
        "session": session_id,
        "epoch": epoch,
        "count": len(rows),
        "closes": any(encoded.kind == "session_closed" for _, encoded in rows),
        "at": at,
        "turns": [turn for turn, _ in rows],
        "kinds": [encoded.kind for _, encoded in rows],
        "data": [encoded.text for _, encoded in rows],
    }


def _account(charge: Charge | None, at: float) -> dict[str, Any]:
    if charge is None:
        return {}
    figures = {name: getattr(charge.spent, name) for name in FIGURES}
    return figures | {"day": day_of(at), "principal": charge.principal, "agent": charge.agent}


def _as_stored(head: int, rows: Sequence[tuple[int, Encoded]], at: float) -> Sequence[Event]:
    before = head - len(rows)
    return [Event(before + n, turn, at, encoded.data) for n, (turn, encoded) in enumerate(rows, start=1)]


def _last_of(session_id: str, events: Sequence[Event], rows: Sequence[tuple[int, Encoded]]) -> Parameters:
    """By what the newest event is recognized: if it is in the log, so is all of its transaction."""
    event, (_, encoded) = events[-1], rows[-1]
    return {
        "session": session_id,
        "seq": event.seq,
        "at": event.at,
        "kind": encoded.kind,
        "data": encoded.text,
    }


def _refused(session_id: str, epoch: int | None) -> FencedError | SessionNotFoundError:
    if epoch is None:
        return session_not_found(session_id)
    return FencedError(f"epoch {epoch} of session {session_id} is over")
