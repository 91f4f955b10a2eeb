"""Definitions of tools, compared with those of their first use: what is new or changed is said, or asked for.

A server whose tools are what they were costs one comparison of objects a turn: what was found in order is kept for as
long as its listing is the same object. Knows no server; who accepts a change is the command line's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent_mcp.sessions.offers import Offer
from agent_mcp.sessions.pins import Pin, ToolPins
from agent_mcp.sessions.profile import ServerTrust

_NAMED = 5
_TRUSTED = ServerTrust()


@dataclass(frozen=True, slots=True)
class Changes:
    """What a turn's servers offer that they did not offer at first."""

    notices: tuple[str, ...] = ()
    """For people."""
    to_approve: tuple[str, ...] = ()
    """Uncut names of tools that must be approved for it."""


class PinBook:
    """The pins of one config's servers."""

    def __init__(self, pins: ToolPins, config: str) -> None:
        """`config`: the file that names the servers, so that another one's server of the same name is another."""
        self._pins = pins
        self._config = config
        self._in_order: dict[str, Mapping[str, str]] = {}

    async def compare(self, offers: Sequence[Offer], trust: Mapping[str, ServerTrust]) -> Changes:
        """What of the offers is not as at first. Pins what was never seen.

        Raises:
            StoreError: the pins can't be read or written.
        """
        notices: list[str] = []
        to_approve: list[str] = []
        for offer in offers:
            policy = trust.get(offer.server, _TRUSTED).pins
            if policy == "off" or self._in_order.get(offer.server) is offer.digests:
                continue
            changed = await self._changed(offer)
            if changed:
                notices.append(_notice(offer.server, changed))
            if policy == "ask":
                to_approve += [f"{offer.server}__{tool}" for tool in changed]
        return Changes(tuple(notices), tuple(to_approve))

    async def _changed(self, offer: Offer) -> Sequence[str]:
        entry = entry_of(self._config, offer.server)
        pins = await self._pins.pins(entry)
        if not _are_as_accepted(pins, offer.digests):
            pins = await self._pins.pin(entry, offer.digests)
        changed = [pin.tool for pin in pins if pin.differs and pin.tool in offer.digests]
        if not changed:
            self._in_order[offer.server] = offer.digests
        return changed


def entry_of(config: str, server: str) -> str:
    """The name of a server's entry in the pins."""
    return f"{config}#{server}"


def _are_as_accepted(pins: Sequence[Pin], digests: Mapping[str, str]) -> bool:
    """Whether there is nothing to write, as almost always."""
    accepted = {pin.tool: pin.accepted for pin in pins if not pin.differs}
    return bool(pins) and all(accepted.get(tool) == digest for tool, digest in digests.items())


def _notice(server: str, changed: Sequence[str]) -> str:
    shown = ", ".join(changed[:_NAMED]) + (
        f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    )
    way = f"look at them, then `agent-mcp approvals pins accept {server}`"
    return f"server {server}: not defined as at its first use: {shown}; {way}"
