"""Rendering once: what is kept, for whom, and for how long."""

import gc
from typing import Any

from agent_mcp.agent.messages import Message, Reply, UserMessage
from agent_mcp.agent.tools import Tool
from agent_mcp.models.rendering import Fragments, ToolFragments, object_schema, to_json


def tool(name: str) -> Tool:
    return Tool(name, "", {"type": "object"}, "s", name)


def test_a_message_is_rendered_once_and_forgotten_with_it() -> None:
    rendered: list[str] = []

    def render(message: Message, _: Reply | None) -> bytes:
        rendered.append(message.kind)
        return b"x"

    fragments = Fragments(render)
    history = [UserMessage("a"), UserMessage("b")]
    for _ in range(3):
        assert [fragment for _, fragment in fragments.of(history)] == [b"x", b"x"]
    assert len(rendered) == 2
    history.clear()
    gc.collect()
    assert len(fragments) == 0


def test_a_message_is_rendered_with_the_reply_before_it() -> None:
    seen: list[Reply | None] = []

    def render(_: Message, asked: Reply | None) -> bytes:
        seen.append(asked)
        return b""

    reply = Reply(parts=(), stop="end_turn")
    history = [UserMessage("a"), reply, UserMessage("b")]
    assert len(list(Fragments(render).of(history))) == 3
    assert seen == [None, None, reply]


def test_sessions_with_equal_tools_share_one_rendering() -> None:
    count = 0

    def render(shown: Tool) -> dict[str, Any]:
        nonlocal count
        count += 1
        return {"name": shown.name}

    tools = ToolFragments(render)
    first = tools.of((tool("a"), tool("b")))
    assert tools.of((tool("a"), tool("b"))) is first
    assert count == 2
    assert tools.of((tool("a"),)) == b'[{"name":"a"}]'


def test_the_kept_tool_lists_are_bounded() -> None:
    tools = ToolFragments(lambda shown: {"name": shown.name})
    for index in range(1000):
        tools.of((tool(str(index)),))
    assert len(tools) <= 256


def test_a_schema_is_an_object_at_the_top_and_keeps_the_rest() -> None:
    schema: dict[str, Any] = {"anyOf": [], "properties": {"a": {"anyOf": [{}]}}, "$defs": {"x": {}}}
    assert object_schema(schema) == {
        "properties": {"a": {"anyOf": [{}]}},
        "$defs": {"x": {}},
        "type": "object",
    }


def test_json_is_compact_and_always_valid_unicode() -> None:
    assert to_json({"a": ["ü", "\ud800"]}) == '{"a":["ü","?"]}'
