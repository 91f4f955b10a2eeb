"""Large contents of results: kept once by their hash, and given back. What is large says `store.blobs`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import Event
from agent_mcp.store.blobs import blobs_of, put_back
from agent_mcp.store.codec import Encoded
from agent_mcp.store.postgres.database import Database, Transaction
from agent_mcp.store.postgres.labels import as_json, from_json

INSERT_BLOB: Final = """
INSERT INTO agent_mcp.blobs (hash, data) VALUES (%(hash)s, %(data)s) ON CONFLICT (hash) DO NOTHING
"""
# Held until the commit, so that whoever removes the last other reference waits, and then sees this one.
LOCK_BLOB: Final = "SELECT 1 FROM agent_mcp.blobs WHERE hash = %(hash)s FOR KEY SHARE"
INSERT_REF: Final = """
INSERT INTO agent_mcp.blob_refs (session, seq, hash) VALUES (%(session)s, %(seq)s, %(hash)s)
"""
BLOBS: Final = "SELECT hash, data FROM agent_mcp.blobs WHERE hash = ANY(%(hashes)s)"

LOCK_BLOBS_OF: Final = """
SELECT 1 FROM agent_mcp.blobs
WHERE hash IN (SELECT hash FROM agent_mcp.blob_refs WHERE session = %(session)s)
ORDER BY hash FOR UPDATE
"""
# Before the session's own references go: those blobs that nobody else refers to.
DELETE_BLOBS: Final = """
DELETE FROM agent_mcp.blobs AS b
WHERE hash IN (SELECT hash FROM agent_mcp.blob_refs WHERE session = %(session)s)
    AND NOT EXISTS (
        SELECT 1 FROM agent_mcp.blob_refs AS r WHERE r.hash = b.hash AND r.session <> %(session)s
    )
"""
DELETE_REFS: Final = "DELETE FROM agent_mcp.blob_refs WHERE session = %(session)s"


async def keep(tx: Transaction, session_id: str, events: Sequence[Event], encoded: Sequence[Encoded]) -> None:
    """Store what events refer to, where it is not there yet, and that they do."""
    for event, kept in zip(events, encoded, strict=True):
        await keep_of(tx, session_id, event.seq, kept)


async def keep_of(tx: Transaction, session_id: str, seq: int, encoded: Encoded) -> None:
    """The same for one event."""
    for hashed, content in encoded.blobs:
        await tx.run(INSERT_BLOB, {"hash": hashed, "data": as_json(content)})
        if await tx.row(LOCK_BLOB, {"hash": hashed}) is None:
            # It was there, and went with its last session in this very moment.
            await tx.run(INSERT_BLOB, {"hash": hashed, "data": as_json(content)})
        await tx.run(INSERT_REF, {"session": session_id, "seq": seq, "hash": hashed})


async def forget(tx: Transaction, session_id: str) -> None:
    """Remove what only this session refers to."""
    await tx.run(LOCK_BLOBS_OF, {"session": session_id})
    await tx.run(DELETE_BLOBS, {"session": session_id})
    await tx.run(DELETE_REFS, {"session": session_id})


async def whole(database: Database, rows: Iterable[tuple[str, str]]) -> Sequence[str]:
    """The JSON of stored events (kind, data) with their blobs put back.

    Raises:
        StoreError: one is missing: its session was deleted a moment ago.
    """
    found = list(rows)
    hashes = {hashed for kind, data in found for hashed in blobs_of(kind, data)}
    if not hashes:
        return [data for _, data in found]
    stored = await database.rows(BLOBS, {"hashes": list(hashes)})
    blobs = {hashed: from_json(data) for hashed, data in stored}
    return [_put_back(data, blobs) if blobs_of(kind, data) else data for kind, data in found]


def _put_back(data: str, blobs: Mapping[str, str]) -> str:
    try:
        return put_back(data, blobs)
    except KeyError as error:
        problem = f"the stored content {error.args[0]} is missing"
        raise StoreError(problem, hint="read the session again") from error
