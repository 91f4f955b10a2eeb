"""A server's tools as it lists them: every page, each tool judged by itself, so that a bad one costs only itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map

from agent_mcp.agent.tools import Tool
from agent_mcp.downstream.handshake import Channel
from agent_mcp.downstream.naming import model_name
from agent_mcp.downstream.schemas import problem_with
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.policy import matches

_MAX_PAGES = 100
_SHOWN_WARNINGS = 10

HeaderMap = Mapping[tuple[str, ...], str]


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """The usable tools of a server. Kept as one object for as long as the server lists the same."""

    tools: tuple[Tool, ...]
    warnings: tuple[str, ...]
    """Tools left out and why."""
    raw: Sequence[Any] = ()
    """As the server sent them."""
    header_maps: Mapping[str, HeaderMap] = field(default_factory=dict[str, HeaderMap])
    """By the server's own name of a tool: arguments that go into HTTP headers too (2026-07-28)."""


async def fetch_listing(
    channel: Channel, *, server: str, patterns: Sequence[str] | None, known: Listing | None
) -> Listing:
    """The server's listing now; the `known` one, the very object, if nothing has changed.

    `patterns` match the server's own names; None lets all through.

    Raises:
        RpcError, ConnectionLostError: no list came.
    """
    if "tools" not in channel.capabilities and channel.capabilities:
        return Listing((), ())
    raw, complete = await _fetch_pages(channel)
    if known is not None and known.raw == raw:
        return known
    return _to_listing(
        raw, server=server, patterns=patterns, complete=complete, modern=channel.era == "modern"
    )


async def _fetch_pages(channel: Channel) -> tuple[list[Any], bool]:
    """All tools, and whether the list came to its end within the page limit."""
    tools: list[Any] = []
    seen: set[str] = set()
    cursor: str | None = None
    while len(seen) < _MAX_PAGES:
        answer = await channel.request("tools/list", {"cursor": cursor} if cursor else {})
        page = answer.get("tools")
        tools.extend(cast("list[Any]", page) if isinstance(page, list) else ())
        cursor = answer.get("nextCursor")
        if not isinstance(cursor, str) or not cursor:
            return tools, True
        if cursor in seen:
            return tools, False
        seen.add(cursor)
    return tools, False


def _to_listing(
    raw: Sequence[Any], *, server: str, patterns: Sequence[str] | None, complete: bool, modern: bool
) -> Listing:
    tools: dict[str, Tool] = {}
    header_maps: dict[str, HeaderMap] = {}
    problems: list[str] = (
        [] if complete else ["its tool list does not end; the tools after the first pages are left out"]
    )
    for item in raw:
        entry = cast("JsonObject", item) if isinstance(item, dict) else {}
        name = entry.get("name")
        if isinstance(name, str) and patterns is not None and not any(matches(p, name) for p in patterns):
            continue
        if problem := _problem_of(entry, known=tools, modern=modern):
            problems.append(f"tool {name!r} is left out: {problem}")
            continue
        tools[entry["name"]] = to_tool(entry, server=server)
        if modern and (header_map := x_mcp_header_map(entry["inputSchema"])):
            header_maps[entry["name"]] = header_map
    return Listing(tuple(tools.values()), _shown(server, problems), raw, header_maps)


def _problem_of(entry: JsonObject, *, known: Mapping[str, Tool], modern: bool) -> str | None:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        return "it has no name"
    if name in known:
        return "another tool of this server has the same name"
    if problem := problem_with(entry.get("inputSchema")):
        return problem
    # A MUST of 2026-07-28: such a tool may not be offered.
    invalid = find_invalid_x_mcp_header(entry["inputSchema"]) if modern else None
    return f"its x-mcp-header is invalid: {invalid}" if invalid else None


def to_tool(entry: JsonObject, *, server: str) -> Tool:
    """A checked entry of `tools/list` as the model and the policies see it."""
    hints = entry.get("annotations")
    annotations = cast("JsonObject", hints) if isinstance(hints, dict) else {}
    texts = (entry.get("description"), entry.get("title"), annotations.get("title"))
    return Tool(
        name=model_name(server, entry["name"]),
        description=next((text for text in texts if isinstance(text, str) and text), ""),
        input_schema=entry["inputSchema"],
        server=server,
        tool_name=entry["name"],
        read_only=_flag(annotations.get("readOnlyHint")),
        idempotent=_flag(annotations.get("idempotentHint")),
        destructive=_flag(annotations.get("destructiveHint")),
    )


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _shown(server: str, problems: Sequence[str]) -> tuple[str, ...]:
    warnings = [f"server {server}: {problem}" for problem in problems[:_SHOWN_WARNINGS]]
    if more := len(problems) - len(warnings):
        warnings.append(f"server {server}: {more} more tools are left out")
    return tuple(warnings)
