"""A model that answers at once, on three wires, as a process of its own: `python -m benchmarks.provider [SECONDS]`.

With SECONDS it thinks so long before each answer.

It does not read the requests: the last user message holds a plan, `plan:LABEL:STEPS:CALLS:TOOL;`, and the results
after it, counted as bytes, tell which step comes next. Answers are rendered once and then only get new ids. GET /gaps
gives the seconds between the requests of each label, which are its steps, and forgets them. Raw asyncio and no server
library: this process must not be what is measured.
"""

import asyncio
import functools
import itertools
import json
import sys
import time
from collections import defaultdict

from tests.support.model_script import Answer, Call
from tests.support.model_wires import WIRES

_MARK = b"plan:"
_RESULT_KEYS = (b'"tool_use_id"', b'"function_call_output"', b'"tool_call_id"')
_TEXT = "Looking at the four of them before I go on."
_PIECE_CHARACTERS = 12
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
_NUMBER = b"0123456789"
"""Stands in rendered answers where the number goes that makes their ids unique."""


class Provider:
    """What all connections share."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._times: defaultdict[str, list[float]] = defaultdict(list)

    def answer(self, path: str, body: bytes) -> bytes:
        """The whole HTTP response."""
        if path == "/gaps":
            return _response(b"application/json", json.dumps(self._gaps()).encode())
        label, steps, calls, tool = _plan(body)
        self._times[label].append(time.perf_counter())
        done = sum(body.count(key, body.rindex(_MARK)) for key in _RESULT_KEYS) // max(calls, 1)
        events = _rendered(path, tool, calls if done < steps else 0)
        return _response(b"text/event-stream", events.replace(_NUMBER, b"%010d" % next(self._numbers)))

    def _gaps(self) -> dict[str, list[float]]:
        gaps = {
            label: [after - before for before, after in itertools.pairwise(times)]
            for label, times in self._times.items()
        }
        self._times.clear()
        return gaps


def _plan(body: bytes) -> tuple[str, int, int, str]:
    start = body.rindex(_MARK) + len(_MARK)
    label, steps, calls, tool = body[start : body.index(b";", start)].decode().split(":")
    return label, int(steps), int(calls), tool


@functools.cache
def _rendered(path: str, tool: str, calls: int) -> bytes:
    wanted = tuple(
        Call(name=tool, arguments={"value": f"number {n}"}, id=f"call_{_NUMBER.decode()}_{n}")
        for n in range(calls)
    )
    answer = Answer(text=_TEXT if calls else "Done.", calls=wanted, piece_chars=_PIECE_CHARACTERS)
    return b"".join(WIRES[path].events(answer, {"model": "bench"}))


def _response(kind: bytes, body: bytes) -> bytes:
    return _HEAD % (kind, len(body)) + body


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as the SDKs need it."""

    def __init__(self, provider: Provider, think_seconds: float) -> None:
        self._provider = provider
        self._think_seconds = think_seconds
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        start, *lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        whole = end + 4 + int(headers.get("content-length", "0"))
        if len(self._received) >= whole:
            body = bytes(self._received[end + 4 : whole])
            del self._received[:whole]
            answer = self._provider.answer(start.split(" ")[1], body)
            if self._think_seconds:
                asyncio.get_running_loop().call_later(self._think_seconds, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _serve(think_seconds: float) -> None:
    provider = Provider()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(provider, think_seconds), "127.0.0.1", 0, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
