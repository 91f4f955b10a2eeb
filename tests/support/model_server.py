"""A model provider over real HTTP for tests and benchmarks: three wires, a script, faults, a record of requests.

In-process: `async with open_model_server(script) as server` and then `server.anthropic_url`, `server.openai_url`,
`server.requests`. As a process: `python -m tests.support.model_server --port N --script FILE`; it prints its address
when it is ready, and GET /__requests gives the record, DELETE /__requests empties it.

Requests are checked as strictly as the providers do (`model_wires`) and refused with 400 and the reason. It speaks
just enough HTTP/1.1 for that, by hand, so that it answers in well under a millisecond. It knows nothing of agent_mcp.
"""

import argparse
import functools
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.support.model_script import Answer, Fault, Script, load_script
from tests.support.model_wires import WIRES, InvalidRequest, Wire

_MAX_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    """With lower-case names."""
    body: bytes
    port: int = 0
    """The client's: equal for requests over one connection."""

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(slots=True)
class ModelServer:
    """A running server."""

    port: int
    script: Script
    validate: bool = True
    record: bool = True
    models: Sequence[str] = ("fake-model",)
    """What GET /v1/models lists."""
    requests: list[RecordedRequest] = field(default_factory=list[RecordedRequest])
    spoiled: dict[int, int] = field(default_factory=dict[int, int])
    """How many requests each fault, by its identity, has spoiled."""

    @property
    def anthropic_url(self) -> str:
        """What ANTHROPIC_BASE_URL should be."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """What OPENAI_BASE_URL should be."""
        return f"http://127.0.0.1:{self.port}/v1"

    def fault_of(self, answer: Answer) -> Fault | None:
        """The answer's fault, unless it has spoiled its share of requests."""
        fault = answer.fault
        if fault is None:
            return None
        count = self.spoiled.get(id(fault), 0)
        self.spoiled[id(fault)] = count + 1
        return fault if fault.times is None or count < fault.times else None


@asynccontextmanager
async def open_model_server(
    script: Script | None = None, *, port: int = 0, validate: bool = True, record: bool = True
) -> AsyncGenerator[ModelServer]:
    """Serve the script on 127.0.0.1 until the block ends; `port` 0 takes a free one."""
    multi = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    listener = cast(SocketListener, multi.listeners[0])
    server = ModelServer(listener.extra(SocketAttribute.local_port), script or Script(), validate, record)
    async with multi, anyio.create_task_group() as group:
        group.start_soon(functools.partial(listener.serve, functools.partial(_serve, server)))
        yield server
        group.cancel_scope.cancel()


async def _serve(server: ModelServer, stream: SocketStream) -> None:
    """One connection, request after request."""
    async with stream:
        port = stream.extra(SocketAttribute.remote_port)
        reader = BufferedByteReceiveStream(stream)
        try:
            while True:
                await _answer(server, await _read(reader, port), stream)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, _HangUp):
            return


class _HangUp(Exception):
    """Close the connection now, in the middle of an answer if need be."""


async def _read(reader: BufferedByteReceiveStream, port: int) -> tuple[str, RecordedRequest]:
    head = (await reader.receive_until(b"\r\n\r\n", _MAX_HEAD_BYTES)).decode("latin-1")
    start, *lines = head.split("\r\n")
    method, path, _ = start.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.receive_exactly(int(headers.get("content-length", "0")))
    return method, RecordedRequest(path.partition("?")[0], headers, body, port)


async def _answer(server: ModelServer, asked: tuple[str, RecordedRequest], stream: SocketStream) -> None:
    method, request = asked
    match method, request.path:
        case "POST", path if path in WIRES:
            if server.record:
                server.requests.append(request)
            await _reply(server, WIRES[path], request, stream)
        case "GET", "/v1/models":
            data = [{"id": name, "object": "model"} for name in server.models]
            await _send_json(stream, 200, {"object": "list", "data": data})
        case "GET", "/__requests":
            rows = [{"path": r.path, "headers": r.headers, "body": r.body.decode()} for r in server.requests]
            await _send_json(stream, 200, rows)
        case "DELETE", "/__requests":
            server.requests.clear()
            await _send_json(stream, 200, {})
        case _:
            await _send_json(stream, 404, {"error": {"message": f"no route {method} {request.path}"}})


async def _reply(server: ModelServer, wire: Wire, request: RecordedRequest, stream: SocketStream) -> None:
    try:
        body = request.json
        conversation = wire.read(body, validate=server.validate)
    except (InvalidRequest, ValueError, KeyError, TypeError) as error:
        reason = f"invalid request: {error!r}" if not isinstance(error, InvalidRequest) else str(error)
        await _send_json(stream, 400, wire.error("invalid_request_error", reason))
        return
    answer = server.script.choose(conversation)
    if answer.delay_seconds:
        await anyio.sleep(answer.delay_seconds)
    fault = server.fault_of(answer)
    if fault is not None and fault.kind == "status":
        retry_after = () if fault.retry_after is None else (("retry-after", fault.retry_after),)
        await _send_json(stream, fault.status, wire.error(fault.type, fault.message), retry_after)
        return
    await _send_events(stream, wire.events(answer, body), wire, fault)


async def _send_events(stream: SocketStream, events: list[bytes], wire: Wire, fault: Fault | None) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    middle = (len(events) - wire.terminal_events) // 2 + 1
    end = b"0\r\n\r\n"
    match fault.kind if fault else None:
        case None | "status":
            await stream.send(head + _chunk(b"".join(events)) + end)
        case "no_stop":
            await stream.send(head + _chunk(b"".join(events[: -wire.terminal_events])) + end)
        case "bad_json":
            events[middle] = events[middle].rstrip()[:-5] + b"\n\n"
            await stream.send(head + _chunk(b"".join(events)) + end)
        case "error_event":
            assert fault is not None
            events[middle:] = [wire.error_event(fault.type, fault.message)]
            await stream.send(head + _chunk(b"".join(events)) + end)
        case "disconnect":
            await stream.send(head + _chunk(b"".join(events[:middle])))
            raise _HangUp
        case "hang":
            await stream.send(head + _chunk(b"".join(events[:middle])))
            await stream.receive()
            raise _HangUp


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _send_json(
    stream: SocketStream, status: int, value: object, headers: Sequence[tuple[str, str]] = ()
) -> None:
    body = json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} Scripted", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    await stream.send("\r\n".join([*lines, "", ""]).encode() + body)


async def _main(arguments: argparse.Namespace) -> None:
    script = load_script(arguments.script) if arguments.script else Script()
    fast: bool = arguments.fast
    async with open_model_server(script, port=arguments.port, validate=not fast, record=not fast) as server:
        print(json.dumps({"port": server.port}), flush=True)
        await anyio.sleep_forever()


def main() -> None:
    """Serve until a signal ends it; the first line on stdout is `{"port": N}`."""
    parser = argparse.ArgumentParser(description="A scripted model provider over HTTP.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, default=None)
    parser.add_argument("--fast", action="store_true", help="neither check nor record requests")
    try:
        anyio.run(_main, parser.parse_args())
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
