"""The port of what is remembered of tools' definitions: which were accepted, and which differ from those.

A definition is known by its digest alone. Knows no server and no policy (see `pinning`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pin:
    """A tool of one config entry."""

    tool: str
    """The server's own name for it."""
    accepted: str
    """The digest of the definition that was accepted; empty for a tool that came later and was not yet."""
    seen: str = ""
    """The digest that was seen last, where it is another one; empty where nothing differs."""

    @property
    def differs(self) -> bool:
        """Whether somebody must look at it."""
        return bool(self.seen)


class ToolPins(Protocol):
    """The pins of all config entries; every method may raise `StoreError`.

    An entry is any text that names one server of one config.
    """

    async def pins(self, entry: str) -> Sequence[Pin]:
        """What is known of an entry's tools, by name; empty for an entry that was never used."""
        ...

    async def pin(self, entry: str, digests: Mapping[str, str]) -> Sequence[Pin]:
        """Compare an entry's tools (name to digest) with its pins in one transaction, and return the pins after it.

        Of an entry without pins all are accepted. Else what differs from what was accepted, and every tool that was
        never accepted, is kept as `seen`, and what is as accepted again loses its `seen`. Tools that are not in
        `digests` stay as they are: gone and come back they are still known.
        """
        ...

    async def accept_pins(self, entry: str) -> Sequence[str]:
        """Accept all that was seen, and return the names of those tools; empty where nothing differed."""
        ...

    async def pinned_entries(self) -> Sequence[str]:
        """All entries that have pins, in order."""
        ...
