"""`ToolPins` on PostgreSQL: which definitions of tools were accepted. Knows no server."""

from collections.abc import Mapping, Sequence
from typing import Final

from agent_mcp.sessions.pins import Pin
from agent_mcp.store.codec import clean
from agent_mcp.store.postgres.database import Database, Transaction
from agent_mcp.store.postgres.labels import storable

PINS: Final = "SELECT tool, accepted, seen FROM agent_mcp.tool_pins WHERE entry = %(entry)s ORDER BY tool"

ENTRIES: Final = "SELECT DISTINCT entry FROM agent_mcp.tool_pins ORDER BY entry"

# Of two first uses at the same moment the later one must find the pins of the other.
LOCK_ENTRY: Final = "SELECT pg_advisory_xact_lock(hashtext('agent_mcp pins'), hashtext(%(entry)s))"

INSERT_PIN: Final = """
INSERT INTO agent_mcp.tool_pins (entry, tool, accepted, seen, at)
VALUES (%(entry)s, %(tool)s, %(accepted)s, %(seen)s, %(at)s)
"""

UPDATE_SEEN: Final = """
UPDATE agent_mcp.tool_pins SET seen = %(seen)s, at = %(at)s
WHERE entry = %(entry)s AND tool = %(tool)s AND seen <> %(seen)s
"""

ACCEPT: Final = """
UPDATE agent_mcp.tool_pins SET accepted = seen, seen = '', at = %(at)s
WHERE entry = %(entry)s AND seen <> ''
RETURNING tool
"""


class PostgresPins:
    """`ToolPins` on PostgreSQL. All of it may be done twice, so nothing need be known of a commit's outcome."""

    _database: Database

    async def pins(self, entry: str) -> Sequence[Pin]:
        """See `ToolPins`."""
        return [Pin(*row) for row in await self._database.rows(PINS, {"entry": _storable(entry)})]

    async def pin(self, entry: str, digests: Mapping[str, str]) -> Sequence[Pin]:
        """See `ToolPins`."""
        cleaned = {_storable(tool): digest for tool, digest in digests.items()}
        pins, _ = await self._database.write(lambda tx: _pin(tx, _storable(entry), cleaned))
        return pins

    async def accept_pins(self, entry: str) -> Sequence[str]:
        """See `ToolPins`."""
        accepted, _ = await self._database.write(lambda tx: _accept(tx, _storable(entry)))
        return accepted

    async def pinned_entries(self) -> Sequence[str]:
        """See `ToolPins`."""
        return [entry for (entry,) in await self._database.rows(ENTRIES, {})]


def _storable(text: str) -> str:
    return storable(clean(text))


async def _pin(tx: Transaction, entry: str, digests: Mapping[str, str]) -> Sequence[Pin]:
    await tx.run(LOCK_ENTRY, {"entry": entry})
    known = {tool: accepted for tool, accepted, _ in await tx.rows(PINS, {"entry": entry})}
    for tool, digest in digests.items():
        row = {"entry": entry, "tool": tool, "at": tx.at}
        if tool in known:
            await tx.run(UPDATE_SEEN, {**row, "seen": "" if digest == known[tool] else digest})
        else:
            accepted, seen = ("", digest) if known else (digest, "")
            await tx.run(INSERT_PIN, {**row, "accepted": accepted, "seen": seen})
    return [Pin(*row) for row in await tx.rows(PINS, {"entry": entry})]


async def _accept(tx: Transaction, entry: str) -> Sequence[str]:
    return sorted(tool for (tool,) in await tx.rows(ACCEPT, {"entry": entry, "at": tx.at}))
