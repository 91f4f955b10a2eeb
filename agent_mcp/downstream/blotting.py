"""A wire on which no secret comes in: what a server sends is blotted before anybody reads it.

So no secret that a server repeats reaches the model, the log, a result or the store, in whichever kind of message.
What only the server itself reads again (cursors, its sealed state) goes back to it as it came.
"""

from collections.abc import Mapping
from typing import Any, cast

from agent_mcp.config.blot import Blot
from agent_mcp.downstream.wire import Deliver, JsonObject, Wire

_OPAQUE = frozenset({"requestState", "nextCursor", "progressToken"})
_DATA = frozenset({"data", "blob"})
"""Keys of base64 in a content block, which has a `mimeType` beside them."""


class BlottedWire:
    """The port `Wire` around another one."""

    def __init__(self, wire: Wire, blot: Blot) -> None:
        self._wire = wire
        self._blot = blot

    @property
    def is_process(self) -> bool:
        """As of the inner wire."""
        return self._wire.is_process

    @property
    def takes_headers(self) -> bool:
        """As of the inner wire."""
        return self._wire.takes_headers

    async def listen(self, deliver: Deliver) -> None:
        """Hand over each message, blotted."""

        def blotted(message: JsonObject, stream: int | None = None, /) -> None:
            deliver(blotted_object(message, self._blot), stream)

        await self._wire.listen(blotted)

    async def send(self, message: JsonObject, headers: Mapping[str, str] | None = None) -> None:
        """Write one message, as it is."""
        await self._wire.send(message, headers)

    async def last_words(self) -> str:
        """Of the inner wire, blotted."""
        return self._blot(await self._wire.last_words())


def blotted_object(value: JsonObject, blot: Blot) -> JsonObject:
    """The JSON object without secrets: texts, keys, and base64 of content blocks."""
    is_block = isinstance(value.get("mimeType"), str)
    return {blot(key): _member(key, item, blot, is_block=is_block) for key, item in value.items()}


def _member(key: str, value: Any, blot: Blot, *, is_block: bool) -> Any:
    if key in _OPAQUE:
        return value
    if is_block and key in _DATA and isinstance(value, str):
        return blot.data(value)
    return _blotted(value, blot)


def _blotted(value: Any, blot: Blot) -> Any:
    match value:
        case str():
            return blot(value)
        case dict():
            return blotted_object(cast("JsonObject", value), blot)
        case list():
            return [_blotted(item, blot) for item in cast("list[Any]", value)]
        case _:
            return value
