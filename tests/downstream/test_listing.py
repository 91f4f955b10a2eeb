"""What of a server's tool list reaches the model, what people are told of it, and what it is known by."""

from typing import Any

import anyio
import pytest

from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.connection import Connection
from agent_mcp.downstream.listing import Listing, digests_of
from agent_mcp.downstream.live import Live, Server
from tests.downstream.memory import Answer, MemoryTarget, legacy, modern

pytestmark = pytest.mark.anyio

OBJECT = {"type": "object"}


async def connected(answer: Answer, *, modern_era: bool = False, **entry: Any) -> tuple[Listing, str]:
    """The listing of a server in memory, and its own instructions."""
    target = MemoryTarget(answer, era="modern" if modern_era else "legacy")
    server = Server("docs", ServerEntry(url="http://x", **entry), target, target.era)
    connection = Connection(server, idle_seconds=60)
    found: list[Live] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            found.append(await connection.get())
            connection.close()
    return found[0].listing, found[0].channel.instructions


async def listing_of(*tools: Any, **entry: Any) -> Listing:
    """The listing of a server with these tools."""
    answer = legacy({"tools/list": {"result": {"tools": list(tools)}}})
    return (await connected(answer, **entry))[0]


async def test_a_tool_with_hidden_characters_in_its_name_is_left_out_with_a_warning() -> None:
    listing = await listing_of(
        {"name": "ge\u200bt", "inputSchema": OBJECT}, {"name": "find", "inputSchema": OBJECT}
    )
    assert [tool.tool_name for tool in listing.tools] == ["find"]
    assert listing.warnings == (
        "server docs: tool 'ge\\u200bt' is left out: its name has invisible characters: U+200B",
    )


async def test_hidden_characters_in_a_description_are_not_shown_to_the_model_and_told_to_people() -> None:
    listing = await listing_of(
        {
            "name": "get",
            "description": "Reads a page.\u202e\U000e0041",
            "inputSchema": {**OBJECT, "properties": {"q": {"description": "what\u200b"}}},
        }
    )
    (tool,) = listing.tools
    assert (tool.description, tool.input_schema["properties"]) == (
        "Reads a page.",
        {"q": {"description": "what"}},
    )
    (notice,) = listing.notices
    assert notice.startswith(
        "server docs: tool 'get' has invisible characters in its description and its input"
    )
    assert "U+202E" in notice and "U+E0041" in notice
    assert listing.warnings == ()


async def test_a_definition_is_known_by_what_the_model_and_the_rules_are_told_of_it() -> None:
    tool = {"name": "get", "description": "d", "inputSchema": OBJECT, "annotations": {"readOnlyHint": True}}
    same = {**dict(reversed(tool.items())), "outputSchema": OBJECT, "_meta": {"at": 1}}
    others: list[dict[str, Any]] = [
        {**tool, "description": "d\u200b"},
        {**tool, "inputSchema": {**OBJECT, "properties": {}}},
        {**tool, "annotations": {"readOnlyHint": False}},
        {**tool, "annotations": None},
    ]
    known = digests_of([tool])
    assert digests_of([same]) == known
    assert len({digests_of([one])["get"] for one in [tool, *others]}) == 5


async def test_definitions_are_known_whatever_patterns_let_through_and_of_two_names_the_first_counts() -> (
    None
):
    get, find = {"name": "get", "inputSchema": OBJECT}, {"name": "find", "inputSchema": OBJECT}
    listing = await listing_of(get, find, {**get, "description": "again"}, "no tool", tools=("find",))
    assert [tool.tool_name for tool in listing.tools] == ["find"]
    assert listing.digests == digests_of([get, find])
    assert listing.digests is listing.digests


async def test_a_definition_nested_beyond_sense_costs_only_itself() -> None:
    deep: dict[str, Any] = {}
    for _ in range(600):
        deep = {"x": deep}
    listing = await listing_of(
        {"name": "deep", "inputSchema": {**OBJECT, "x-more": deep}}, {"name": "get", "inputSchema": OBJECT}
    )
    assert [tool.tool_name for tool in listing.tools] == ["get"]
    assert list(listing.digests) == ["get"]
    assert "nested too deeply" in listing.warnings[0]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_servers_own_instructions_are_known_in_both_eras(era: str) -> None:
    hello: dict[str, Any] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "instructions": "Be quick.",
    }
    found: dict[str, Any] = {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "instructions": "Be quick.",
    }
    answer = legacy({"initialize": {"result": hello}})
    if era == "modern":
        answer = modern({"server/discover": {"result": found}})
    _, instructions = await connected(answer, modern_era=era == "modern")
    assert instructions == "Be quick."
