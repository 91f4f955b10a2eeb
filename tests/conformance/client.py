"""Our downstream half as the suite's client: `python -m tests.conformance.client URL`.

Connects the server at URL as the config's one server, lists its tools, and calls what the scenario wants called, over
the same hub and toolbox that a turn uses. The suite names the scenario in the environment.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import httpx2

from agent_mcp.agent.events import Happening
from agent_mcp.agent.messages import ToolCall, new_call_id
from agent_mcp.agent.ports import Toolbox
from agent_mcp.config.schema import LoginEntry, ServerEntry
from agent_mcp.downstream.guarded import access_of
from agent_mcp.downstream.hub import open_hub
from agent_mcp.downstream.login import log_in
from agent_mcp.sessions.inquiries import InputAnswer, Question, with_defaults
from agent_mcp.sessions.ports import ToolScope

_SERVER = "suite"
_MOST_LOGINS = 3
"""By the specification a client has to give up some time; a person would sooner."""
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
    """Connect, and make the scenario's calls one after the other; log in where that is wanted, and begin again."""
    with TemporaryDirectory() as folder:
        # Where logins are kept.
        os.environ["XDG_DATA_HOME"] = folder
        entry = ServerEntry(url=url, timeout=15, connect_timeout=10, oauth=_login())
        access = access_of(_SERVER, entry)
        assert access is not None
        for _ in range(_MOST_LOGINS):
            if access.way_out not in await _use(entry):
                return
            await log_in(access, _browse, patience_seconds=10)
        await _use(entry)


async def _use(entry: ServerEntry) -> str:
    """What was said of the server and of the calls."""
    scope = ToolScope(session_id="s1", turn=1, servers=[_SERVER], tools=(), emit=_ignore)
    said: list[str] = []
    async with open_hub({_SERVER: entry}, {}, os.environ) as hub:
        toolbox = await hub.open_toolbox(scope)
        said += toolbox.warnings
        for name, arguments in _calls(toolbox):
            result = await toolbox.call(ToolCall(new_call_id(), f"{_SERVER}__{name}", dict(arguments)))
            said.append(f"{name}: {result.text}")
    print("\n".join(said), file=sys.stderr)
    return "\n".join(said)


async def _browse(url: str) -> None:
    """A browser whose user agrees to everything."""
    async with httpx2.AsyncClient() as client:
        redirect = await client.get(url)
        if "location" in redirect.headers:
            await client.get(redirect.headers["location"])


def _login() -> LoginEntry | None:
    """What the scenario says that a config would."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    match os.environ.get("MCP_CONFORMANCE_SCENARIO"):
        case "auth/basic-cimd":
            return LoginEntry(client_id="https://conformance-test.local/client-metadata.json")
        case "auth/pre-registration":
            return LoginEntry(client_id=context["client_id"], client_secret=context["client_secret"])
        case "auth/client-credentials-basic":
            return LoginEntry(
                client_id=context["client_id"],
                client_secret=context["client_secret"],
                grant="client_credentials",
            )
        case "auth/client-credentials-jwt":
            return LoginEntry(
                client_id=context["client_id"],
                private_key=context["private_key_pem"],
                grant="client_credentials",
            )
        case _:
            return None


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
