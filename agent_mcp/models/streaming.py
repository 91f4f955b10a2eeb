"""Reads one streamed reply off an HTTP response: events in order, every way to break told as one error.

Loaded together with an adapter, never at start: it imports httpx2.
"""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast

import anyio
import httpx2

from agent_mcp.errors import TransientModelError
from agent_mcp.models.sse import EventReader

TakeEvent = Callable[[bytes, bytes], None]
"""Gets each event's name and data; raises to stop."""

ODD_SHAPES = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
"""What reading data by its documented shape raises where it has another."""
_DONE = b"[DONE]"
_DRAIN_SECONDS = 1.0


def timeout_of(read_timeout_seconds: float) -> httpx2.Timeout:
    """How long to wait for the next byte, and for a connection."""
    return httpx2.Timeout(read_timeout_seconds, connect=10.0)


async def read_stream(response: httpx2.Response, take: TakeEvent, *, place: str) -> None:
    """Hand every event to `take` until the stream or OpenAI's `[DONE]` ends it; closes the response.

    Raises:
        TransientModelError: the connection broke or fell silent.
    """
    chunks = response.aiter_bytes()
    try:
        async with aclosing(chunks):
            await _read(chunks, _guarded(take, place))
    except httpx2.HTTPError as error:
        raise TransientModelError(f"{place} broke off its reply: {describe(error)}") from error
    finally:
        await response.aclose()


async def _read(chunks: AsyncGenerator[bytes], take: TakeEvent) -> None:
    reader = EventReader()
    async for chunk in chunks:
        for name, data in reader.feed(chunk):
            if data == _DONE:
                await _drain(chunks)
                return
            take(name, data)
    for name, data in reader.end():
        if data != _DONE:
            take(name, data)


def _guarded(take: TakeEvent, place: str) -> TakeEvent:
    """Events are read as the provider documents them; one of another shape is the server's failure, not ours."""

    def hand_over(name: bytes, data: bytes) -> None:
        try:
            take(name, data)
        except ODD_SHAPES as error:
            raise TransientModelError(
                f"{place} sent an event of an unexpected shape: {data[:80]!r}"
            ) from error

    return hand_over


async def _drain(chunks: AsyncGenerator[bytes]) -> None:
    """Read to the end so that the connection can be used again; but a server may keep the stream open for ever."""
    with anyio.move_on_after(_DRAIN_SECONDS):
        async for _ in chunks:
            pass


def parse_event(data: bytes, *, place: str) -> dict[str, Any]:
    """An event's JSON object.

    Raises:
        TransientModelError: it is none; the next try may send it whole.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        raise TransientModelError(f"{place} sent a broken event: {data[:80]!r}") from error
    if not isinstance(value, dict):
        raise TransientModelError(f"{place} sent an event that is no object: {data[:80]!r}")
    return cast(dict[str, Any], value)


def describe(error: BaseException) -> str:
    """An exception for people: its own words, or its cause's where it has none, with the type."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}".rstrip(": ")
