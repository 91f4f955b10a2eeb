"""A provider's stream on the raw connection: what comes off it, and every way in which it ends."""

from collections.abc import AsyncIterator, Sequence

import anyio
import httpx2
import pytest

from agent_mcp.errors import TransientModelError
from agent_mcp.models.streaming import parse_event, read_stream

pytestmark = pytest.mark.anyio


class Chunks(httpx2.AsyncByteStream):
    """The chunks, and then an end, silence or an exception."""

    def __init__(
        self, chunks: Sequence[bytes], after: Exception | None = None, *, stays_open: bool = False
    ) -> None:
        self._chunks = chunks
        self._after = after
        self._stays_open = stays_open
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._after is not None:
            raise self._after
        if self._stays_open:
            await anyio.sleep_forever()

    async def aclose(self) -> None:
        self.is_closed = True


async def read(stream: Chunks) -> list[bytes]:
    """The data of all events."""
    taken: list[bytes] = []
    with anyio.fail_after(5):
        await read_stream(
            httpx2.Response(200, stream=stream), lambda _, data: taken.append(data), place="here"
        )
    return taken


async def test_events_end_with_the_stream_or_with_done() -> None:
    assert await read(Chunks([b"data: 1\n\nda", b"ta: 2\n\n"])) == [b"1", b"2"]
    assert await read(Chunks([b"data: 1\n\ndata: [DONE]\n\n"])) == [b"1"]
    assert await read(Chunks([b"data: 1\n\ndata: [DONE]"])) == [b"1"]


async def test_a_stream_left_open_after_done_is_closed() -> None:
    stream = Chunks([b"data: 1\n\ndata: [DONE]\n\n"], stays_open=True)
    assert await read(stream) == [b"1"]
    assert stream.is_closed


async def test_a_broken_connection_is_worth_another_try() -> None:
    stream = Chunks([b"data: 1\n\n"], httpx2.ReadError("reset"))
    with pytest.raises(TransientModelError, match="here broke off its reply: ReadError: reset"):
        await read(stream)
    assert stream.is_closed


async def test_an_event_of_an_unexpected_shape_is_the_servers_failure() -> None:
    def take(_: bytes, data: bytes) -> None:
        assert parse_event(data, place="here")["delta"]

    response = httpx2.Response(200, stream=Chunks([b'data: {"other": 1}\n\n']))
    with pytest.raises(TransientModelError, match="unexpected shape"):
        await read_stream(response, take, place="here")


@pytest.mark.parametrize("data", [b'{"a": ', b"[1]", b"\xff"])
async def test_an_event_that_is_no_json_object_is_worth_another_try(data: bytes) -> None:
    with pytest.raises(TransientModelError, match="here sent"):
        parse_event(data, place="here")
