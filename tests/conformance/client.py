"""Our downstream half as the suite's client: `python -m tests.conformance.client URL`.

Connects the server at URL as the config's one server, lists its tools, and calls what the scenario wants called, over
the same hub and toolbox that a turn uses. The suite names the scenario in the environment.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from agent_mcp.agent.events import Happening
from agent_mcp.agent.messages import ToolCall, new_call_id
from agent_mcp.agent.ports import Toolbox
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.hub import open_hub
from agent_mcp.sessions.inquiries import InputAnswer, Question, with_defaults
from agent_mcp.sessions.ports import ToolScope

_SERVER = "suite"
_EXAMPLES: Mapping[str, Any] = {
    "string": "test",
    "number": 1,
    "integer": 1,
    "boolean": True,
    "array": [],
    "object": {},
}

Call = tuple[str, Mapping[str, Any]]
"""A tool's own name, and arguments."""


async def main(url: str) -> None:
    """Connect, and make the scenario's calls one after the other."""
    entry = ServerEntry(url=url, timeout=15, connect_timeout=10)
    scope = ToolScope(session_id="s1", turn=1, servers=[_SERVER], tools=(), emit=_ignore, ask=_accept)
    async with open_hub({_SERVER: entry}, {}, os.environ) as hub:
        toolbox = await hub.open_toolbox(scope)
        for warning in toolbox.warnings:
            print(warning, file=sys.stderr)
        for name, arguments in _calls(toolbox):
            result = await toolbox.call(ToolCall(new_call_id(), f"{_SERVER}__{name}", dict(arguments)))
            print(f"{name}: {result.text}", file=sys.stderr)


def _calls(toolbox: Toolbox) -> Sequence[Call]:
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    if "toolCalls" in context:
        return [(call["name"], call["arguments"]) for call in context["toolCalls"]]
    schemas = {tool.tool_name: tool.input_schema for tool in toolbox.tools}
    if os.environ.get("MCP_CONFORMANCE_SCENARIO") == "json-schema-2020-12-preservation":
        focal, echo = schemas
        return [(echo, {"schema": dict(schemas[focal])})]
    return [(name, _example(schema)) for name, schema in schemas.items()]


def _example(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments for a tool of which nothing but the schema is known."""
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    return {name: _EXAMPLES.get(str(one.get("type")), "test") for name, one in properties.items()}


async def _accept(call_id: str, question: Question) -> InputAnswer:
    """A person who takes every form as it comes."""
    return InputAnswer("accept", with_defaults(question.schema, None))


def _ignore(happening: Happening) -> None:
    return


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
