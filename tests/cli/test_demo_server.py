"""The demo's own MCP server, by a client in memory."""

import pytest
from mcp.client import Client
from mcp_types import TextContent

from agent_mcp.cli.demo_server import build_desk

pytestmark = pytest.mark.anyio


async def said(client: Client, tool: str, **arguments: str) -> str:
    (content,) = (await client.call_tool(tool, arguments)).content
    assert isinstance(content, TextContent)
    return content.text


async def test_notes_are_kept_and_words_counted() -> None:
    async with Client(build_desk()) as client:
        assert await said(client, "list_notes") == "no notes yet"
        assert await said(client, "add_note", text="buy milk") == "kept as note 1"
        assert await said(client, "add_note", text="call Ada") == "kept as note 2"
        assert await said(client, "list_notes") == "1. buy milk\n2. call Ada"
        assert await said(client, "count_words", text="a b  c") == "3 words"
        assert (await said(client, "current_time")).endswith("UTC")


async def test_its_tools_say_which_of_them_only_read() -> None:
    async with Client(build_desk()) as client:
        tools = (await client.list_tools()).tools
    reading = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert reading == {"list_notes", "count_words", "current_time"}
    assert all(tool.annotations and not tool.annotations.destructive_hint for tool in tools)
