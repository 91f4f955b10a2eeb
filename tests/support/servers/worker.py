"""A downstream server whose work can be seen from outside, and held up: what a crash test needs.

    python -m tests.support.servers.worker FOLDER

Each call of `look` (read-only), `put` (idempotent) or `book` (neither) adds a line `look ITEM` to FOLDER/work.log
when it begins; with `"hold": true` it then waits until FOLDER/ITEM.go exists. `die` kills the process that started
this one. `give` returns a text of so many characters.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.servers.raw import OBJECT, Json, send, text

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


def _work(kind: str) -> Callable[[Json], Json]:
    def work(arguments: Json) -> Json:
        item = arguments.get("item", "")
        with (FOLDER / "work.log").open("a") as log:
            log.write(f"{kind} {item}\n")
        while arguments.get("hold") and not (FOLDER / f"{item}.go").exists():
            time.sleep(0.01)
        return text(f"{kind} {item}: done")

    return work


def _die(_: Json) -> Json:
    with (FOLDER / "work.log").open("a") as log:
        log.write("die\n")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
    return text("survived")


TOOLS: dict[str, tuple[Callable[[Json], Json], Json]] = {
    "look": (_work("look"), {"readOnlyHint": True}),
    "put": (_work("put"), {"idempotentHint": True}),
    "book": (_work("book"), {}),
    "die": (_die, {"readOnlyHint": True}),
    "give": (lambda arguments: text("x" * int(arguments["characters"])), {"readOnlyHint": True}),
}


def _answer(message: Json) -> None:
    match message["method"]:
        case "initialize":
            info = {"name": "worker", "version": "1"}
            result: Any = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": info,
            }
        case "tools/list":
            result = {
                "tools": [
                    {"name": name, "inputSchema": OBJECT, "annotations": hints}
                    for name, (_, hints) in TOOLS.items()
                ]
            }
        case "tools/call":
            run, _ = TOOLS[message["params"]["name"]]
            result = run(message["params"].get("arguments", {}))
        case method:
            send({"id": message["id"], "error": {"code": -32601, "message": f"no method {method}"}})
            return
    send({"id": message["id"], "result": result})


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        message: Json = json.loads(line)
        if "id" in message and "method" in message:
            threading.Thread(target=_answer, args=[message], daemon=True).start()


if __name__ == "__main__":
    main()
