"""An MCP server that tells all it knows: its environment and arguments, in every form and through every channel.

python -m tests.support.servers.telltale [ANYTHING ...]
"""

import json
import os
import sys
from base64 import b64encode
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]


def knows() -> str:
    """The values that it was given, one a line, and once more within a longer base64."""
    values = [value for name, value in os.environ.items() if name.startswith("PLANTED")] + sys.argv[1:]
    return "\n".join(
        f"{value} {b64encode(value.encode()).decode()} {quote(value, safe='')} {value.encode().hex()} "
        f"{b64encode(f'user:{value}!'.encode()).decode()}"
        for value in values
    )


def answer(method: str, params: Json) -> Json:
    """The result, or the error, of a request."""
    match method:
        case "initialize":
            info = {"name": "telltale", "version": "1"}
            found: Json = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
            return {"result": {**found, "instructions": knows()}}
        case "tools/list":
            schema = {"type": "object", "properties": {"x": {"description": knows()}}}
            names = ("tell", "blob", "refuse")
            return {
                "result": {
                    "tools": [{"name": name, "description": knows(), "inputSchema": schema} for name in names]
                }
            }
        case "tools/call" if params["name"] == "refuse":
            return {"error": {"code": -32000, "message": knows(), "data": {"all": "x" * 900 + knows()}}}
        case "tools/call" if params["name"] == "blob":
            data = b64encode(knows().encode()).decode()
            return {
                "result": {"content": [{"type": "image", "mimeType": "application/x-told", "data": data}]}
            }
        case "tools/call":
            said = {"content": [{"type": "text", "text": knows()}], "structuredContent": {"said": knows()}}
            return {"result": said}
        case _:
            return {"error": {"code": -32601, "message": f"no method {method}: {knows()}"}}


def main() -> None:
    """Answer until stdin ends, and say everything on stderr too, cut where a line of the log is."""
    for line in sys.stdin:
        message: Json = json.loads(line)
        print("y" * 490 + knows().replace("\n", " "), file=sys.stderr, flush=True)
        if "id" not in message or "method" not in message:
            continue
        told = {"jsonrpc": "2.0", "id": message["id"], **answer(message["method"], message.get("params", {}))}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
