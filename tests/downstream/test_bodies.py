"""Answers over HTTP that are too long to be read: given up at the bound, with the bound in the words."""

import json
import os
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream import http
from agent_mcp.downstream.bodies import read_whole
from agent_mcp.downstream.faults import LOST, TOO_LARGE, TooLargeError
from agent_mcp.downstream.http import PlainSpokenClient
from agent_mcp.downstream.hub import open_hub
from tests.downstream.conftest import ask, scope

pytestmark = pytest.mark.anyio

BOUND = 100_000
CALL = {"jsonrpc": "2.0", "id": 5, "method": "tools/call"}
RESULTS: dict[str, dict[str, Any]] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "x", "version": "1"},
    },
    "tools/list": {
        "tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("much", "little")]
    },
}


@pytest.fixture(autouse=True)
def _low_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MESSAGE_BYTES", BOUND)


async def _endless() -> AsyncIterator[bytes]:
    while True:
        await anyio.lowlevel.checkpoint()
        yield b" " * 10_000


async def _then_silence() -> AsyncIterator[bytes]:
    yield b"taken"
    await anyio.sleep_forever()


def _client(response: httpx2.Response) -> PlainSpokenClient:
    return PlainSpokenClient(transport=httpx2.MockTransport(lambda _: response))


@pytest.mark.parametrize("status", [200, 307, 400, 500])
async def test_an_answer_without_an_end_becomes_an_error_that_names_the_bound(status: int) -> None:
    head = {"content-type": "application/json", "location": "http://x/elsewhere"}
    with anyio.fail_after(5):
        async with (
            _client(httpx2.Response(status, headers=head, content=_endless())) as client,
            client.stream("POST", "http://x/mcp", json=CALL) as response,
        ):
            error = response.json()["error"]
    assert error["code"] == TOO_LARGE
    assert f"more than {BOUND} bytes" in error["message"]


async def test_an_answer_that_can_not_be_unpacked_is_lost() -> None:
    async def odd() -> AsyncIterator[bytes]:
        yield b"no such thing"

    head = {"content-type": "application/json", "content-encoding": "gzip"}
    async with (
        _client(httpx2.Response(200, headers=head, content=odd())) as client,
        client.stream("POST", "http://x/mcp", json=CALL) as response,
    ):
        assert response.json()["error"]["code"] == LOST


async def test_the_end_of_a_connection_waits_for_no_body_without_an_end() -> None:
    async with _client(httpx2.Response(200, content=_endless())) as client:
        with anyio.fail_after(5), pytest.raises(TooLargeError, match=f"more than {BOUND} bytes"):
            async with client.stream("DELETE", "http://x/mcp"):
                pass


async def test_what_unpacks_to_very_much_is_given_up_as_soon_as_the_much_is_there() -> None:
    packed = zlib.compress(b"\0" * 50_000_000)
    assert len(packed) < BOUND
    response = httpx2.Response(
        200,
        headers={"content-encoding": "deflate"},
        content=packed,
        request=httpx2.Request("GET", "http://x"),
    )
    with pytest.raises(TooLargeError, match="more than 100000 bytes"):
        await read_whole(response, most_bytes=BOUND)


async def test_nobody_waits_for_the_end_of_what_nobody_reads() -> None:
    notice = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    for status, message in ((202, CALL), (200, notice)):
        with anyio.fail_after(5):
            async with (
                _client(httpx2.Response(status, content=_then_silence())) as client,
                client.stream("POST", "http://x/mcp", json=message) as response,
            ):
                assert response.status_code == status


@asynccontextmanager
async def _server(answer_type: str) -> AsyncGenerator[str]:
    """The address of a server of the older era, whose tool `much` says more than is read."""

    async def handle(stream: ByteStream) -> None:
        async with stream:
            reader = BufferedByteReceiveStream(stream)
            head = (await reader.receive_until(b"\r\n\r\n", 100_000)).lower()
            if not head.startswith(b"post"):
                await stream.send(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await stream.send(_answer(json.loads(await reader.receive_exactly(length)), answer_type))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/mcp"
        tasks.cancel_scope.cancel()


def _answer(message: dict[str, Any], answer_type: str) -> bytes:
    if "id" not in message:
        return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    size = BOUND if message.get("params", {}).get("name") == "much" else 10
    said = {"content": [{"type": "text", "text": "x" * size}]}
    result = RESULTS.get(message["method"], said)
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
    if answer_type == "text/event-stream":
        body = b"event: message\ndata: " + body + b"\n\n"
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {answer_type}\r\nContent-Length: {len(body)}\r\nConnection: close"
    )
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("answer_type", ["application/json", "text/event-stream"])
async def test_a_model_is_told_the_bound_and_the_way_out_and_the_connection_goes_on(answer_type: str) -> None:
    with anyio.fail_after(10):
        async with _server(answer_type) as url:
            entry = ServerEntry.model_validate({"type": "http", "url": url, "era": "legacy"})
            async with open_hub({"h": entry}, {}, os.environ) as hub:
                toolbox = await hub.open_toolbox(scope("h"))
                much, little = await ask(toolbox, "h__much"), await ask(toolbox, "h__little")
    assert (much.code, little.text) == ("TOOL_ERROR", "x" * 10)
    assert str(BOUND) in much.text
    assert "Ask for less at a time; what it was to do may have happened" in much.text
