"""What can go wrong between us and a downstream server. Internal to this room: the model reads results, no exceptions.

DownstreamError
├── UnavailableError      no connection, and why
│   └── TooLargeError     an answer is longer than is read
├── ConnectionLostError   the connection ended before the answer came
└── RpcError              the server (or its HTTP front) answered with an error
"""

from typing import Any, cast

NOT_SENT = -33001
"""An RpcError of our own HTTP client: the request never reached the server."""
SESSION_GONE = -33002
"""An RpcError of our own HTTP client: the server no longer knows the connection's id, and ran nothing."""
HTTP_STATUS = -33003
"""An RpcError of our own HTTP client: an HTTP error without a JSON-RPC body; `data` is the status."""
LOST = -33004
"""An RpcError of our own HTTP client: the connection broke after the request was written."""

NEEDS_LOGIN = -33005
"""An RpcError of our own HTTP client: the server wants a token that we don't have, and ran nothing."""

TOO_LARGE = -33006
"""An RpcError of our own HTTP client: the answer was longer than is read. What was asked for has been done."""


class DownstreamError(Exception):
    """The root of what this room raises inside itself."""


class UnavailableError(DownstreamError):
    """There is no connection; the message says why, for people and models."""


class TooLargeError(UnavailableError):
    """An answer is longer than is read; the message names the bound."""


class ConnectionLostError(DownstreamError):
    """The connection ended while an answer was due. `sent` is False only if the request certainly never left."""

    def __init__(self, reason: str = "the connection was lost", *, sent: bool = True) -> None:
        super().__init__(reason)
        self.sent = sent


class RpcError(DownstreamError):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def leaf_of(error: BaseException) -> BaseException:
    """The first plain exception inside nested exception groups, where the cause is."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def reason_of(error: BaseException) -> str:
    """One line about an error, from the leaf of nested groups, that is never empty."""
    leaf = leaf_of(error)
    text = " ".join(str(leaf).split())
    if isinstance(leaf, DownstreamError) and text:
        return text
    return f"{type(leaf).__name__}: {text}" if text else type(leaf).__name__
