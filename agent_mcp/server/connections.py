"""HTTP/1.1 connections that don't wait for ever: for a request, for the rest of one, or for somebody who doesn't read.

uvicorn's own protocol limits only the pause between two requests.
"""

import asyncio
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class ImpatientProtocol(H11Protocol):
    """Closes a connection whose client has had `request_seconds` to send a whole request, or to read an answer."""

    def __init__(self, *arguments: Any, request_seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._request_seconds = request_seconds
        self._waiting: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client is there, and its request is waited for."""
        super().connection_made(transport)
        self._watch_request()

    def data_received(self, data: bytes) -> None:
        """Some of a request has come, or all of it."""
        super().data_received(data)
        self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        super().connection_lost(exc)
        self._waiting = _stopped(self._waiting)
        self._unread = _stopped(self._unread)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self.flow.pause_writing()
        self._unread = self._unread or self.loop.call_later(self._request_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read some."""
        self.flow.resume_writing()
        self._unread = _stopped(self._unread)

    def _watch_request(self) -> None:
        """The clock runs from a request's first byte (or the connection's start) until its last."""
        if self._is_whole():
            self._waiting = _stopped(self._waiting)
        elif self._waiting is None:
            self._waiting = self.loop.call_later(self._request_seconds, self.transport.abort)

    def _is_whole(self) -> bool:
        return self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)


def impatient(request_seconds: float) -> Any:
    """The protocol as uvicorn takes it."""
    return partial(ImpatientProtocol, request_seconds=request_seconds)


def _stopped(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
