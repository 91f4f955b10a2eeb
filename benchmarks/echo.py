"""The downstream server of the benchmarks: `python -m benchmarks.echo [TOOLS]`, MCP over stdio without an SDK.

`echo` answers at once, `slow` never; TOOLS (default 4) is how many tools it lists.
"""

import json
import sys
from typing import Any

_SCHEMA = {
    "type": "object",
    "properties": {"value": {"type": "string", "description": "What to say."}},
    "required": ["value"],
}


def _tools(count: int) -> list[dict[str, Any]]:
    names = ["echo", "slow", *(f"tool_{n}" for n in range(count))][:count]
    return [
        {"name": name, "description": f"The tool {name} says again what it is told.", "inputSchema": _SCHEMA}
        for name in names
    ]


def _answer(method: str, params: dict[str, Any], tools: list[dict[str, Any]]) -> dict[str, Any]:
    match method:
        case "initialize":
            info = {"name": "echo", "version": "1"}
            return {
                "result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
            }
        case "tools/list":
            return {"result": {"tools": tools}}
        case "tools/call":
            return {
                "result": {"content": [{"type": "text", "text": f"echoed: {params['arguments']['value']}"}]}
            }
        case _:
            return {"error": {"code": -32601, "message": f"no method {method}"}}


def main() -> None:
    """Answer until stdin ends."""
    tools = _tools(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
    for line in sys.stdin:
        message = json.loads(line)
        params = message.get("params", {})
        if "id" not in message or params.get("name") == "slow":
            continue
        answer = {"jsonrpc": "2.0", "id": message["id"], **_answer(message["method"], params, tools)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
