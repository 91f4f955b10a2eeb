"""The port between JSON-RPC and the bytes: a wire carries messages as plain dictionaries.

The SDK's pydantic models are left out on purpose: they refuse what we tolerate, and cost six times the work.
"""

from collections.abc import Mapping
from typing import Any, Protocol

JsonObject = dict[str, Any]

MESSAGE_BYTES = 64 * 1024 * 1024
"""A server that writes more in one message would fill our memory; the same over every transport."""


class Deliver(Protocol):
    """Takes each message as it comes."""

    def __call__(self, message: JsonObject, stream: int | None = None, /) -> None:
        """`stream`: the id of our request on whose own stream it came, where there are such streams and it did."""
        ...


class Wire(Protocol):
    """An open connection to one server."""

    @property
    def is_process(self) -> bool:
        """Whether the server is a child process of ours, and its memory ends with the connection."""
        ...

    @property
    def takes_headers(self) -> bool:
        """Whether the headers given to `send` reach the server."""
        ...

    async def listen(self, deliver: Deliver) -> None:
        """Hand over each message as it comes; returns when the other side is gone."""
        ...

    async def send(self, message: JsonObject, headers: Mapping[str, str] | None = None) -> None:
        """Write one message.

        Raises:
            ConnectionLostError: the other side is gone; its `sent` says whether the message may have arrived.
        """
        ...

    async def last_words(self) -> str:
        """What the server left behind, for people: exit code and last lines of stderr; empty if nothing is known."""
        ...
