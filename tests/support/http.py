"""A host over HTTP as a test plays it: the real server in a process of its own, the SDK's client or raw requests."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.support.host import Era, Home, Json, ServerProcess, checked, open_server, until

ACCEPT = {"Accept": "application/json, text/event-stream"}
MODERN = {**ACCEPT, "MCP-Protocol-Version": "2026-07-28"}
PREFIX = "io.modelcontextprotocol"


@dataclass(frozen=True)
class HttpHost:
    """A connected host program."""

    client: Client
    outputs: dict[str, Json]

    async def call(self, tool: str, **arguments: Any) -> Json:
        """Call a published tool; its structured content, checked as every host may rely on it."""
        return checked(tool, await self.client.call_tool(tool, arguments), self.outputs[tool])


@dataclass(frozen=True)
class Served:
    """A running server and where it listens."""

    process: ServerProcess
    address: str

    @property
    def root(self) -> str:
        """The address without its path."""
        return self.address.removesuffix("/mcp")

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.root.rpartition(":")[2])

    @asynccontextmanager
    async def host(self, mode: Era = "auto", *, token: str | None = None) -> AsyncGenerator[HttpHost]:
        """A host, with a bearer token if it has one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(self.address, http_client=http), mode=mode) as client,
        ):
            tools = await client.list_tools()
            yield HttpHost(client, {tool.name: tool.output_schema or {} for tool in tools.tools})

    @asynccontextmanager
    async def raw(self, **headers: str) -> AsyncGenerator[httpx2.AsyncClient]:
        """Requests as they are, to the server's root."""
        async with httpx2.AsyncClient(base_url=self.root, headers=headers, timeout=30) as client:
            yield client


@asynccontextmanager
async def open_http(home: Home, *arguments: str) -> AsyncGenerator[Served]:
    """`agent-mcp serve --transport http` on a free port."""
    async with open_server(home, "--transport", "http", "--port", "0", *arguments) as process:
        await until(lambda: "listening on " in process.stderr or not process.alive)
        assert process.alive, process.stderr
        line = next(line for line in process.stderr.splitlines() if "listening on " in line)
        yield Served(process, line.split()[-1])


def modern_request(method: str, /, **params: Any) -> Json:
    """A request of the newer era, whole in itself."""
    meta: Json = {f"{PREFIX}/protocolVersion": "2026-07-28", f"{PREFIX}/clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


def modern_headers(method: str, name: str | None = None) -> dict[str, str]:
    """What must stand over it."""
    named = {"Mcp-Name": name} if name else {}
    return {**MODERN, "Mcp-Method": method, **named}


def modern_call(tool: str, /, **arguments: Any) -> dict[str, Any]:
    """The keywords of a post that calls a tool in the newer era."""
    return {
        "json": modern_request("tools/call", name=tool, arguments=arguments),
        "headers": modern_headers("tools/call", tool),
    }


def initialize_request() -> Json:
    """The older era's first request."""
    client = {"name": "raw", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


def answer_of(response: httpx2.Response) -> Json:
    """The JSON-RPC answer in a response, whether it came as JSON or as the last event of a stream."""
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        text = [line for line in text.splitlines() if line.startswith("data:")][-1].removeprefix("data:")
    return json.loads(text)
