"""The writes of the log, each a function over one open transaction; the same rules as `store.transactions`.

Every function locks the session's row first, so that all writers of a session come one after the other, and leaves in
the transaction's `trace` how to find out whether it was committed.
"""

from collections.abc import Sequence
from typing import Any

from agent_mcp.errors import (
    FencedError,
    SessionBusyError,
    SessionClosedError,
    SessionExistsError,
    session_not_found,
)
from agent_mcp.sessions.events import ModelReplied, UserMessageAdded
from agent_mcp.sessions.ports import Claim, NewSession, Submitted
from agent_mcp.store.codec import Encoded, clean, decode, encode_profile
from agent_mcp.store.listing import to_title
from agent_mcp.store.postgres import blob_writes, queries
from agent_mcp.store.postgres.appends import append_within, trace_of
from agent_mcp.store.postgres.database import Parameters, Transaction
from agent_mcp.store.postgres.labels import agent_of, as_json, from_json, search_text
from agent_mcp.store.transactions import MAX_WAITING_MESSAGES


async def create(
    tx: Transaction, session: NewSession, *, message: Encoded | None, past: Sequence[tuple[int, Encoded]]
) -> None:
    """A new session, with its first turn if there is a `message`, with a fork's `past` (turn, event)."""
    if await tx.row(queries.INSERT_SESSION, _session_row(tx, session)) is None:
        raise SessionExistsError(f"there is a session {session.id} already", hint="choose another session_id")
    tx.trace = trace_of(session.id, queries.CREATED, {"session": session.id, "at": tx.at})
    first = next((encoded for _, encoded in past if encoded.kind == "user_message"), message)
    if first is not None:
        await set_title(tx, session.id, agent_of(session.profile), first)
    turns = sorted({turn for turn, _ in past if turn > 0})
    for turn in turns:
        await _insert_turn(tx, session.id, turn, "done")
    if past:
        await append_within(tx, session.id, past)
    if message is not None:
        await _open_turn(tx, session.id, max(turns, default=0) + 1, message)


async def submit(tx: Transaction, session_id: str, message: Encoded) -> Submitted:
    """Resent, joined or a new turn: decided where no other writer can come between."""
    _, _, untitled, agent, _ = await _lock(tx, session_id)
    state = await tx.row(queries.SUBMIT_STATE, {"session": session_id})
    if state is None:
        raise session_not_found(session_id)
    closed, turn, status, delivered, newest = state
    if closed:
        raise SessionClosedError(f"session {session_id} is closed", hint="start a new one, or fork this one")
    if untitled:
        await set_title(tx, session_id, from_json(agent), message)
    if turn is None:
        return await _open_turn(tx, session_id, 1, message)
    if not delivered and newest is not None and _says_the_same(newest, message):
        return Submitted(turn, "resent")
    if status == "done":
        return await _open_turn(tx, session_id, turn + 1, message)
    if await _count_held(tx, session_id) >= MAX_WAITING_MESSAGES:
        problem = f"{MAX_WAITING_MESSAGES} messages already wait for the model in session {session_id}"
        raise SessionBusyError(problem, hint="wait until the turn has gone on, or cancel it")
    await append_within(tx, session_id, [(turn, message)])
    return Submitted(turn, "joined")


async def claim(tx: Transaction, session_id: str, turn: int, *, owner: str) -> Claim | None:
    """Make `owner` run the turn, if nobody else living does and no turn before it is left."""
    if await tx.row(queries.LOCK, {"session": session_id}) is None:
        return None
    state = await tx.row(queries.CLAIM_STATE, {"session": session_id, "turn": turn})
    if state is None:
        return None
    status, old_owner, claims, stuck, waits, alive = state
    if status == "done" or waits or (status == "running" and old_owner != owner and alive):
        return None
    # Its own earlier claim did not end this process: nothing could be stored, or the like.
    attempts = claims + (old_owner != owner) if stuck else 1
    epoch, head = await _bump_epoch(tx, session_id)
    held: Parameters = {"session": session_id, "turn": turn, "owner": owner, "epoch": epoch}
    await tx.run(queries.OWN_TURN, {**held, "claims": attempts, "head": head})
    tx.trace = trace_of(session_id, queries.CLAIMED, held)
    return Claim(session_id, turn, epoch, attempts)


async def end_turn(
    tx: Transaction, claim: Claim, events: Sequence[Encoded], *, unread_after: int | None, reopen: bool
) -> bool:
    """The end of a claimed turn, unless there is a message that the model must read first."""
    session_id, turn = claim.session_id, claim.turn
    held = await tx.row(queries.LOCK, {"session": session_id})
    if held is not None:
        held = await tx.row(queries.HOLDS_CLAIM, {"session": session_id, "turn": turn, "epoch": claim.epoch})
    if held is None:
        raise FencedError(f"turn {turn} of session {session_id} is no longer ours")
    unread = unread_after is not None and await _count_after(tx, session_id, unread_after) > 0
    if unread and not reopen:
        return False
    await _finish(tx, session_id, turn, events)
    if unread:
        await _insert_turn(tx, session_id, turn + 1, "queued")
    return True


async def seize(
    tx: Transaction, session_id: str, turn: int, events: Sequence[Encoded], *, head: int | None
) -> bool:
    """The end of a turn whoever runs it, unless the log has grown beyond `head`: its owner's epoch is over then."""
    [known, *_] = await _lock(tx, session_id)
    if head not in (None, known):
        return False
    if await tx.row(queries.IS_UNFINISHED, {"session": session_id, "turn": turn}) is None:
        return False
    await _bump_epoch(tx, session_id)
    await _finish(tx, session_id, turn, events)
    return True


async def delete(tx: Transaction, session_id: str) -> None:
    """The session, its turns and its log, unless a living process is at work on it."""
    await _lock(tx, session_id)
    if await tx.row(queries.AT_WORK, {"session": session_id}) is not None:
        raise SessionBusyError(f"a turn of session {session_id} is running", hint="cancel it first")
    await remove(tx, session_id)
    tx.trace = trace_of(session_id, queries.DELETED, {"session": session_id})


async def remove(tx: Transaction, session_id: str) -> None:
    """All rows of a session."""
    await blob_writes.forget(tx, session_id)
    for sql in queries.DELETE:
        await tx.run(sql, {"session": session_id})


def _session_row(tx: Transaction, session: NewSession) -> Parameters:
    agent = agent_of(session.profile)
    return {
        "id": session.id,
        "config": encode_profile(session.profile),
        "origin": session.origin,
        "principal": session.principal,
        "parent": session.forked_from,
        "at": tx.at,
        "agent": as_json(agent),
        "title": None,
        "search": search_text(session.id, agent),
    }


async def _lock(tx: Transaction, session_id: str) -> Any:
    row = await tx.row(queries.LOCK, {"session": session_id})
    if row is None:
        raise session_not_found(session_id)
    return row


async def set_title(tx: Transaction, session_id: str, agent: str, message: Encoded) -> None:
    """What the session is about, by its first message."""
    if not isinstance(message.data, UserMessageAdded):
        return
    title = to_title(clean(message.data.text))
    search = search_text(session_id, agent, title)
    await tx.run(queries.SET_TITLE, {"session": session_id, "title": as_json(title), "search": search})


def _says_the_same(newest: str, message: Encoded) -> bool:
    old, new = decode("user_message", newest), message.data
    return isinstance(old, UserMessageAdded) and isinstance(new, UserMessageAdded) and old.text == new.text


async def _open_turn(tx: Transaction, session_id: str, turn: int, message: Encoded) -> Submitted:
    await _insert_turn(tx, session_id, turn, "queued")
    await append_within(tx, session_id, [(turn, message)])
    return Submitted(turn, "new")


async def _insert_turn(tx: Transaction, session_id: str, turn: int, status: str) -> None:
    await tx.run(queries.INSERT_TURN, {"session": session_id, "turn": turn, "status": status})


async def _finish(tx: Transaction, session_id: str, turn: int, events: Sequence[Encoded]) -> None:
    await append_within(tx, session_id, [(turn, event) for event in events])
    await tx.run(queries.FINISH_TURN, {"session": session_id, "turn": turn})


async def _bump_epoch(tx: Transaction, session_id: str) -> tuple[int, int]:
    """Ends the epoch of whoever held it; returns the new one and the log's head."""
    row = await tx.row(queries.BUMP_EPOCH, {"session": session_id})
    if row is None:
        raise session_not_found(session_id)
    return row[0], row[1]


async def _count_held(tx: Transaction, session_id: str) -> int:
    """Messages that joined the newest turn and that the model had not been shown at its newest reply."""
    newest = await tx.row(queries.NEWEST_REPLY, {"session": session_id})
    # Decoded here and not in SQL: tool arguments may hold NaN, which PostgreSQL calls malformed.
    reply = None if newest is None else decode("model_reply", newest[0])
    read = reply.read if isinstance(reply, ModelReplied) else 0
    end = await tx.row(queries.LAST_END, {"session": session_id})
    ended = end[0] if end else 0
    unread = await _count_after(tx, session_id, max(read, ended))
    # Until its first reply the message that opened the turn is unread too, and it is not a held one.
    return unread if read > ended else unread - 1


async def _count_after(tx: Transaction, session_id: str, seq: int) -> int:
    row = await tx.row(queries.COUNT_MESSAGES_AFTER, {"session": session_id, "after": seq})
    return row[0] if row else 0
