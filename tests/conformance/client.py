"""Our downstream half as the suite's client; the suite itself starts `stub`, which hands its order in here.

Connects the scenario's server as the config's one server, lists its tools, and calls what the scenario wants called,
over the same hub and toolbox that a turn uses. Where a login is wanted it does what `agent-mcp login` does.
"""

import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_mcp.agent.events import Happening
from agent_mcp.agent.messages import ToolCall, new_call_id
from agent_mcp.agent.ports import Toolbox
from agent_mcp.config.schema import LoginEntry, ServerEntry
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.guarded import access_of
from agent_mcp.downstream.hub import open_hub
from agent_mcp.downstream.login import log_in
from agent_mcp.sessions.inquiries import InputAnswer, Question, with_defaults
from agent_mcp.sessions.tool_ports import ToolScope

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


@dataclass(frozen=True, slots=True)
class Order:
    """One scenario, as the suite gives it to its client."""

    url: str
    scenario: str
    context: Mapping[str, Any]


@asynccontextmanager
async def open_driver() -> AsyncGenerator[int]:
    """The port where `stub` hands in its orders; each runs in this process."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, _serve)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def _serve(stream: SocketStream) -> None:
    async with stream:
        line = await BufferedByteReceiveStream(stream).receive_until(b"\n", 1_000_000)
        said: list[str] = []
        status = 0
        try:
            await run(Order(**json.loads(line)), said)
        except UnavailableError as error:
            said.append(str(error))
            status = 1
        await stream.send(json.dumps({"said": "\n".join(said), "status": status}).encode())


async def run(order: Order, said: list[str]) -> None:
    """Connect, and make the scenario's calls one after the other; log in where that is wanted, and begin again.

    What is said of the server and of the calls goes to `said`.

    Raises:
        UnavailableError: there was no login.
    """
    entry = ServerEntry(url=order.url, timeout=15, connect_timeout=10, oauth=_login(order))
    access = access_of(_SERVER, entry)
    assert access is not None
    for _ in range(_MOST_LOGINS):
        heard = await _use(entry, order)
        said += heard
        if not any(access.way_out in line for line in heard):
            return
        await log_in(access, _browse, patience_seconds=10)
    said += await _use(entry, order)


async def _use(entry: ServerEntry, order: Order) -> list[str]:
    scope = ToolScope(session_id="s1", turn=1, servers=[_SERVER], tools=(), emit=_ignore, ask=_accept)
    async with open_hub({_SERVER: entry}, {}, os.environ) as hub:
        toolbox = await hub.open_toolbox(scope)
        said = list(toolbox.warnings)
        for name, arguments in _calls(toolbox, order):
            result = await toolbox.call(ToolCall(new_call_id(), f"{_SERVER}__{name}", dict(arguments)))
            said.append(f"{name}: {result.text}")
    return said


async def _browse(url: str) -> None:
    """A browser whose user agrees to everything."""
    async with httpx2.AsyncClient() as client:
        redirect = await client.get(url)
        if "location" in redirect.headers:
            await client.get(redirect.headers["location"])


def _login(order: Order) -> LoginEntry | None:
    """What the scenario says that a config would."""
    match order:
        case Order(scenario="auth/basic-cimd"):
            return LoginEntry(client_id="https://conformance-test.local/client-metadata.json")
        case Order(
            scenario="auth/client-credentials-jwt", context={"client_id": name, "private_key_pem": key}
        ):
            return LoginEntry(client_id=name, private_key=key, grant="client_credentials")
        case Order(
            scenario="auth/client-credentials-basic", context={"client_id": name, "client_secret": key}
        ):
            return LoginEntry(client_id=name, client_secret=key, grant="client_credentials")
        case Order(context={"client_id": name, "client_secret": key}):
            return LoginEntry(client_id=name, client_secret=key)
        case _:
            return None


def _calls(toolbox: Toolbox, order: Order) -> Sequence[Call]:
    if "toolCalls" in order.context:
        return [(call["name"], call["arguments"]) for call in order.context["toolCalls"]]
    schemas = {tool.tool_name: tool.input_schema for tool in toolbox.tools}
    if order.scenario == "json-schema-2020-12-preservation":
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
