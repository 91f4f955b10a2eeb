"""An MCP server without the SDK, which starts in a few milliseconds and can misbehave in every way asked for.

    python -m tests.support.servers.raw [FLAG ...]

Speaks protocol 2025-11-25 over stdio and refuses `server/discover`, as older servers do. The flags are in `_FLAGS`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
OBJECT: Json = {"type": "object"}

_FLAGS = {
    "--ignore-unknown": "answer nothing to methods that it does not know",
    "--leave-on-discover": "exit when asked server/discover",
    "--garbage": "print other things on stdout before and between the messages",
    "--hang": "start, and never answer anything",
    "--stubborn": "outlive SIGTERM and the end of stdin",
    "--bad-schemas": "list tools with broken schemas among the good ones",
    "--pages": "list the tools one a page",
    "--endless-pages": "list pages without end",
    "--linger": "leave a child behind at the start",
}
_write_lock = threading.Lock()
_cancelled: list[Any] = []
_answers: list[Json] = []


def send(message: Json) -> None:
    """Write one message."""
    with _write_lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def text(value: object) -> Json:
    """A result of one text block."""
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def _crash(_: Json, __: Json) -> Json:
    print("about to crash", file=sys.stderr, flush=True)
    os._exit(7)


def _orphan(arguments: Json, _: Json) -> Json:
    """Start a child that holds our stdout, note its pid, and crash."""
    child = subprocess.Popen(["sleep", "300"])
    Path(arguments["pid_file"]).write_text(str(child.pid))
    os._exit(9)


def _slow(arguments: Json, request: Json) -> Json:
    """Sleep, reporting progress; stops when cancelled."""
    token = request["params"].get("_meta", {}).get("progressToken")
    until = time.monotonic() + arguments["seconds"]
    while time.monotonic() < until and request["id"] not in _cancelled:
        report = {"progressToken": token, "progress": 0.5, "total": 1, "message": "half way"}
        send({"method": "notifications/progress", "params": report})
        time.sleep(0.05)
    return text("slept")


def _kinds(_: Json, __: Json) -> Json:
    return {
        "content": [
            {"type": "text", "text": '{"looks": "like JSON"}'},
            {"type": "image", "data": "aW1n", "mimeType": "image/png"},
            {"type": "audio", "data": "YXVk", "mimeType": "audio/wav"},
            {"type": "resource", "resource": {"uri": "file:///a.txt", "text": "inside"}},
            {
                "type": "resource",
                "resource": {"uri": "file:///b.bin", "blob": "YmluYXJ5", "mimeType": "application/pdf"},
            },
            {"type": "resource_link", "uri": "file:///c", "name": "c", "description": "a link"},
            {"type": "hologram", "depth": 3},
        ],
        "structuredContent": {"n": 1},
    }


def _change_tools(_: Json, __: Json) -> Json:
    TOOLS["added"] = lambda _a, _r: text("new")
    send({"method": "notifications/tools/list_changed"})
    return text("changed")


def _ask_back(arguments: Json, _: Json) -> Json:
    """Ask the client something and return its answer."""
    before = len(_answers)
    send({"id": f"back-{before}", "method": arguments["method"], "params": arguments.get("params", {})})
    while len(_answers) == before:
        time.sleep(0.01)
    return text(_answers[-1])


TOOLS: dict[str, Callable[[Json, Json], Json]] = {
    "echo": lambda arguments, _: text(arguments),
    "empty": lambda _a, _r: {"content": []},
    "fail": lambda _a, _r: {**text("it failed"), "isError": True},
    "wrong-structure": lambda _a, _r: {**text("fine"), "structuredContent": {"n": "not a number"}},
    "pid": lambda _a, _r: text(str(os.getpid())),
    "env": lambda _a, _r: text(dict(os.environ)),
    "request": lambda _a, request: text(request["params"]),
    "cancelled": lambda _a, _r: text(_cancelled),
    "protocol-error": lambda _a, _r: {
        "rpc_error": {"code": -32602, "message": "no such thing", "data": {"a": 1}}
    },
    "crash": _crash,
    "orphan": _orphan,
    "slow": _slow,
    "kinds": _kinds,
    "change_tools": _change_tools,
    "ask_back": _ask_back,
}
HINTS: dict[str, dict[str, bool]] = {
    "echo": {"readOnlyHint": True},
    "crash": {"destructiveHint": True},
    "slow": {"idempotentHint": True},
}
BAD_TOOLS: list[Any] = [
    {"name": "empty-schema", "inputSchema": {}},
    {"name": "no-schema"},
    {"name": "text-schema", "inputSchema": "object"},
    {"name": "bad-property", "inputSchema": {"type": "object", "properties": {"a": "string"}}},
    {"inputSchema": OBJECT},
    "not even an object",
]


def listed() -> list[Any]:
    """All tools, in the order of `tools/list`."""
    tools: list[Any] = [
        {"name": name, "inputSchema": OBJECT, "annotations": HINTS.get(name)} for name in TOOLS
    ]
    number = {"type": "object", "properties": {"n": {"type": "number"}}}
    return [{**tool, "outputSchema": number} if tool["name"] == "wrong-structure" else tool for tool in tools]


class Server:
    """The loop over stdin."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags

    def run(self) -> None:
        """Answer until stdin ends."""
        for line in sys.stdin:
            message: Json = json.loads(line)
            if self.flags.garbage:
                print("DEBUG got a message", flush=True)
            if "method" not in message:
                _answers.append(message)
            elif message["method"] == "notifications/cancelled":
                _cancelled.append(message["params"]["requestId"])
            elif "id" in message:
                threading.Thread(target=self.answer, args=[message], daemon=True).start()

    def answer(self, message: Json) -> None:
        """Answer one request."""
        match message["method"]:
            case "initialize":
                capabilities: Json = {"tools": {"listChanged": True}}
                info = {"name": "raw", "version": "1"}
                result = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info}
            case "tools/list":
                result = self.page(message.get("params", {}).get("cursor"))
            case "tools/call":
                name = message["params"]["name"]
                result = TOOLS[name](message["params"].get("arguments", {}), message)
            case "server/discover" if self.flags.leave_on_discover:
                os._exit(4)
            case method:
                if not self.flags.ignore_unknown:
                    send({"id": message["id"], "error": {"code": -32601, "message": f"no method {method}"}})
                return
        error = result.get("rpc_error")
        send({"id": message["id"], "error": error} if error else {"id": message["id"], "result": result})

    def page(self, cursor: str | None) -> Json:
        """One page of the tool list."""
        tools = listed() + (BAD_TOOLS if self.flags.bad_schemas else [])
        if self.flags.endless_pages:
            return {"tools": tools if cursor is None else [], "nextCursor": f"{cursor or ''}+"}
        if not self.flags.pages:
            return {"tools": tools}
        index = int(cursor or 0)
        more: Json = {"nextCursor": str(index + 1)} if index + 1 < len(tools) else {}
        return {"tools": [tools[index]], **more}


def main() -> None:
    """Start as the flags say."""
    parser = argparse.ArgumentParser()
    for flag, meaning in _FLAGS.items():
        parser.add_argument(flag, action="store_true", help=meaning)
    parser.add_argument("--start-log", help="append a line to this file at each start")
    parser.add_argument("--exit", help="print this on stderr and exit with status 3")
    parser.add_argument("--start-delay", type=float, default=0.0)
    parser.add_argument("--pid-file")
    flags = parser.parse_args()
    if flags.start_log:
        with Path(flags.start_log).open("a") as log:
            log.write("started\n")
    if flags.pid_file:
        Path(flags.pid_file).write_text(str(os.getpid()))
    if flags.exit:
        print(flags.exit, file=sys.stderr)
        sys.exit(3)
    if flags.linger:
        subprocess.Popen(["sleep", "300"])
    if flags.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(flags.start_delay)
    if flags.garbage:
        print("Welcome to the server!\n{not json\n[1, 2]\n\n\xff", flush=True)
    while flags.hang:
        time.sleep(1)
    Server(flags).run()
    while flags.stubborn:
        time.sleep(1)


if __name__ == "__main__":
    main()
