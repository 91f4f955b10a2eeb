"""stdin and stdout as an MCP connection, on pipes in this process."""

import json
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import mcp_types as types
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import ServerMessageMetadata, SessionMessage

from agent_mcp.cli.descriptors import Wire
from agent_mcp.cli.wire import open_wire
from agent_mcp.server.receipts import Receipt

pytestmark = pytest.mark.anyio

PING = b'{"jsonrpc": "2.0", "id": 7, "method": "ping"}\n'
PONG = SessionMessage(types.JSONRPCResponse(jsonrpc="2.0", id=7, result={}))
LARGE = SessionMessage(types.JSONRPCResponse(jsonrpc="2.0", id=7, result={"text": "x" * 1_000_000}))
CANCEL = b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}\n'


@dataclass
class Pipes:
    """Both pipes, seen from the host."""

    wire: Wire
    stdin: int
    stdout: int
    ended: list[str] = field(default_factory=list[str])

    def write(self, data: bytes) -> None:
        os.write(self.stdin, data)

    def hang_up(self) -> None:
        os.close(self.stdin)
        self.stdin = -1

    def close_stdout(self) -> None:
        os.close(self.stdout)
        self.stdout = -1


@dataclass
class Connection:
    """What the server has in hand."""

    incoming: MemoryObjectReceiveStream[SessionMessage | Exception]
    outgoing: MemoryObjectSendStream[SessionMessage]


@pytest.fixture
def pipes() -> Generator[Pipes]:
    read_fd, stdin = os.pipe()
    stdout, write_fd = os.pipe()
    pipes = Pipes(Wire(read_fd, write_fd), stdin, stdout)
    yield pipes
    for fd in (pipes.stdin, pipes.stdout, read_fd, write_fd):
        if fd >= 0:
            os.close(fd)


@asynccontextmanager
async def connected(pipes: Pipes) -> AsyncGenerator[Connection]:
    with anyio.fail_after(10):
        async with open_wire(pipes.wire, ended=lambda: pipes.ended.append("told")) as (incoming, outgoing):
            yield Connection(incoming, outgoing)
            if pipes.stdin >= 0:
                pipes.hang_up()
            async for _ in incoming:
                pass  # up to the end, so that the reader's thread has nothing more to hand over


async def test_messages_come_in_and_answers_go_out_a_line_each(pipes: Pipes) -> None:
    async with connected(pipes) as connection:
        pipes.write(PING + PING)
        for _ in range(2):
            message = await connection.incoming.receive()
            assert isinstance(message, SessionMessage)
            assert isinstance(message.message, types.JSONRPCRequest)
        await connection.outgoing.send(PONG)
        line = await anyio.to_thread.run_sync(os.read, pipes.stdout, 1000)
        assert json.loads(line) == {"jsonrpc": "2.0", "id": 7, "result": {}}
        assert line.endswith(b"\n")


async def test_blank_lines_are_passed_over_and_nonsense_is_told(pipes: Pipes) -> None:
    async with connected(pipes) as connection:
        pipes.write(b"\n  \nnonsense\n" + PING)
        assert isinstance(await connection.incoming.receive(), Exception)
        assert isinstance(await connection.incoming.receive(), SessionMessage)


async def test_a_request_with_half_an_emoji_is_no_nonsense(pipes: Pipes) -> None:
    async with connected(pipes) as connection:
        pipes.write(
            PING.replace(b"}", rb', "params": {"_meta": {"cut": "\ud83d", "whole": "\ud83d\ude00 \u00e9"}}}')
        )
        received = await connection.incoming.receive()
    assert isinstance(received, SessionMessage) and isinstance(received.message, types.JSONRPCRequest)
    assert received.message.params == {"_meta": {"cut": "\ufffd", "whole": "\U0001f600 \u00e9"}}


async def test_the_end_of_stdin_waits_for_an_answer_that_is_nearly_there(pipes: Pipes) -> None:
    async with connected(pipes) as connection:
        pipes.write(PING)
        await connection.incoming.receive()
        pipes.hang_up()
        while not pipes.ended:
            await anyio.sleep(0.01)
        await connection.outgoing.send(PONG)
        with pytest.raises(anyio.EndOfStream):
            await connection.incoming.receive()
        assert os.read(pipes.stdout, 1000)


@pytest.mark.parametrize(
    "closing",
    [b"", CANCEL],
)
async def test_the_end_of_stdin_does_not_wait_for_ever(pipes: Pipes, closing: bytes) -> None:
    async with connected(pipes) as connection:
        pipes.write(PING + closing)
        pipes.hang_up()
        received = [message async for message in connection.incoming]
        assert len(received) == (2 if closing else 1)


async def test_a_host_that_closed_our_stdout_is_the_end(pipes: Pipes) -> None:
    async with connected(pipes) as connection:
        pipes.close_stdout()
        await connection.outgoing.send(PONG)
        with pytest.raises(anyio.EndOfStream):
            await connection.incoming.receive()
        assert pipes.ended == ["told"]


async def test_a_large_message_goes_out_whole(pipes: Pipes) -> None:
    async with connected(pipes) as connection:
        await connection.outgoing.send(LARGE)
        assert len(json.loads(await read_line(pipes))["result"]["text"]) == 1_000_000


async def test_an_answer_counts_for_its_request_though_the_next_has_the_same_id(pipes: Pipes) -> None:
    done: list[str] = []
    async with connected(pipes) as connection:
        pipes.write(PING)
        await promise(connection, done, "first")
        # It fills the pipe: the host reads and writes before we know that all of it is out.
        await connection.outgoing.send(LARGE)
        pipes.write(PING)
        await promise(connection, done, "second")
        await read_line(pipes)
        await connection.outgoing.send(PONG)
        await read_line(pipes)
    assert done == ["first", "second"]


async def test_an_answer_that_is_cancelled_on_its_way_counts_as_none(pipes: Pipes) -> None:
    done: list[str] = []
    async with connected(pipes) as connection:
        pipes.write(PING)
        await promise(connection, done, "first")
        await connection.outgoing.send(LARGE)
        pipes.write(CANCEL)
        await connection.incoming.receive()
        await read_line(pipes)
    assert done == []


async def test_a_cancellation_of_what_is_no_id_is_passed_over(pipes: Pipes) -> None:
    async with connected(pipes) as connection:
        pipes.write(PING + CANCEL.replace(b"7", b"[7]") + PING)
        for _ in range(3):
            assert isinstance(await connection.incoming.receive(), SessionMessage)


async def promise(connection: Connection, done: list[str], what: str) -> None:
    """Take a request; with its answer out, this is done."""
    message = await connection.incoming.receive()
    assert isinstance(message, SessionMessage) and isinstance(message.metadata, ServerMessageMetadata)

    async def deed() -> None:
        done.append(what)

    receipt = message.metadata.request_context
    assert isinstance(receipt, Receipt)
    receipt.then(deed)


async def read_line(pipes: Pipes) -> bytes:
    """What the host reads next."""
    data = b""
    while not data.endswith(b"\n"):
        data += await anyio.to_thread.run_sync(os.read, pipes.stdout, 65536)
    return data
