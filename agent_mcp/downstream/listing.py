"""A server's tools as it lists them: every page, each tool judged by itself, so that a bad one costs only itself."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map

from agent_mcp.agent.tools import Tool
from agent_mcp.downstream.handshake import Channel
from agent_mcp.downstream.invisible import clean_definition, invisible_in, named
from agent_mcp.downstream.naming import model_name
from agent_mcp.downstream.schemas import is_deeper_than, problem_with
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.policy import matches

_MAX_PAGES = 100
_SHOWN_WARNINGS = 10
_MAX_LEVELS = 400
"""What Python's JSON encoder writes without an error, whoever calls it."""

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
    notices: tuple[str, ...] = ()
    """What people should know of tools that are there."""
    _digests: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def digests(self) -> Mapping[str, str]:
        """What each definition is known by, by the server's own names of its tools, whatever patterns let through."""
        if not self._digests:
            self._digests.update(digests_of(self.raw))
        return self._digests


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
    notices: list[str] = []
    for item in raw:
        entry = cast("JsonObject", item) if isinstance(item, dict) else {}
        name = entry.get("name")
        if isinstance(name, str) and patterns is not None and not any(matches(p, name) for p in patterns):
            continue
        if problem := _problem_of(entry, known=tools, modern=modern):
            problems.append(f"tool {name!r} is left out: {problem}")
            continue
        tools[entry["name"]], hidden = _shown_tool(to_tool(entry, server=server))
        if hidden:
            notices.append(f"tool {name!r} {hidden}")
        if modern and (header_map := x_mcp_header_map(entry["inputSchema"])):
            header_maps[entry["name"]] = header_map
    return Listing(
        tuple(tools.values()),
        _shown(server, problems, "more tools are left out"),
        raw,
        header_maps,
        _shown(server, notices, "more tools have such characters"),
    )


def _problem_of(entry: JsonObject, *, known: Mapping[str, Tool], modern: bool) -> str | None:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        return "it has no name"
    if name in known:
        return "another tool of this server has the same name"
    if hidden := Counter(invisible_in(name)):
        return f"its name has invisible characters: {named(hidden)}"
    if is_deeper_than(_MAX_LEVELS, entry):
        return "its definition is nested too deeply"
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


def _shown_tool(tool: Tool) -> tuple[Tool, str]:
    """The tool without what nobody sees, and what is to be said of it."""
    cleaned = clean_definition(tool.description, tool.input_schema)
    if not cleaned.problem:
        return tool, ""
    shown = replace(tool, description=cleaned.description, input_schema=cleaned.schema)
    return shown, cleaned.problem


def digests_of(raw: Sequence[Any]) -> dict[str, str]:
    """By name the SHA-256 of each definition: name, description, input schema and annotations as canonical JSON."""
    entries = [cast("JsonObject", item) for item in raw if isinstance(item, dict)]
    return {
        entry["name"]: _digest(entry)
        for entry in reversed(entries)
        if isinstance(entry.get("name"), str) and not is_deeper_than(_MAX_LEVELS, entry)
    }


def _digest(entry: JsonObject) -> str:
    definition = {key: entry.get(key) for key in ("name", "description", "inputSchema", "annotations")}
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _shown(server: str, problems: Sequence[str], more_of: str) -> tuple[str, ...]:
    warnings = [f"server {server}: {problem}" for problem in problems[:_SHOWN_WARNINGS]]
    if more := len(problems) - len(warnings):
        warnings.append(f"server {server}: {more} {more_of}")
    return tuple(warnings)
