"""`ToolPins` on SQLite: which definitions of tools were accepted. Knows no server."""

import sqlite3
from collections.abc import Mapping, Sequence

from agent_mcp.sessions.pins import Pin
from agent_mcp.store.codec import clean
from agent_mcp.store.reader import Reader
from agent_mcp.store.transactions import Transaction
from agent_mcp.store.writer import Writer

PINS = "SELECT tool, accepted, seen FROM tool_pins WHERE entry = ? ORDER BY tool"

ENTRIES = "SELECT DISTINCT entry FROM tool_pins ORDER BY entry"

INSERT_PIN = "INSERT INTO tool_pins (entry, tool, accepted, seen, at) VALUES (?, ?, ?, ?, ?)"

UPDATE_SEEN = "UPDATE tool_pins SET seen = ?, at = ? WHERE entry = ? AND tool = ? AND seen <> ?"

ACCEPT = """
UPDATE tool_pins SET accepted = seen, seen = '', at = ?
WHERE entry = ? AND seen <> ''
RETURNING tool
"""


class SqlitePins:
    """`ToolPins` on SQLite."""

    _reader: Reader
    _writer: Writer

    async def pins(self, entry: str) -> Sequence[Pin]:
        """See `ToolPins`."""
        return await self._reader.in_thread(lambda connection: _pins(connection, clean(entry)))

    async def pin(self, entry: str, digests: Mapping[str, str]) -> Sequence[Pin]:
        """See `ToolPins`."""
        cleaned = {clean(tool): digest for tool, digest in digests.items()}
        return await self._writer.write(lambda tx: _pin(tx, clean(entry), cleaned))

    async def accept_pins(self, entry: str) -> Sequence[str]:
        """See `ToolPins`."""
        return await self._writer.write(lambda tx: _accept(tx, clean(entry)))

    async def pinned_entries(self) -> Sequence[str]:
        """See `ToolPins`."""
        return await self._reader.in_thread(_entries)


def _pins(connection: sqlite3.Connection, entry: str) -> Sequence[Pin]:
    return [Pin(*row) for row in connection.execute(PINS, (entry,)).fetchall()]


def _entries(connection: sqlite3.Connection) -> Sequence[str]:
    return [entry for (entry,) in connection.execute(ENTRIES).fetchall()]


def _pin(tx: Transaction, entry: str, digests: Mapping[str, str]) -> Sequence[Pin]:
    known = {pin.tool: pin for pin in _pins(tx.connection, entry)}
    for tool, digest in digests.items():
        if tool in known:
            seen = "" if digest == known[tool].accepted else digest
            tx.run(UPDATE_SEEN, (seen, tx.at, entry, tool, seen))
        else:
            accepted, seen = ("", digest) if known else (digest, "")
            tx.run(INSERT_PIN, (entry, tool, accepted, seen, tx.at))
    return _pins(tx.connection, entry)


def _accept(tx: Transaction, entry: str) -> Sequence[str]:
    return sorted(tool for (tool,) in tx.connection.execute(ACCEPT, (tx.at, entry)).fetchall())
