"""A server's question, answered line by line at the prompt of `agent-mcp chat`. Knows no terminal and no session."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from agent_mcp.sessions.events import InputAsked, InputGiven

Read = Callable[[str], Awaitable[str | None]]
"""Prompts for a line; None when there is none."""

_YES, _NO = frozenset({"y", "yes", "true"}), frozenset({"n", "no", "false"})


class _NotGivenError(Exception):
    """There was no line."""


async def fill_in(asked: InputAsked, read: Read) -> InputGiven:
    """What a person says: `decline` when they would not answer, `cancel` when there is no line to read."""
    try:
        agrees = await _agrees(
            "open it yourself, then say y: [y/n] " if asked.url else "answer it? [y/n] ", read
        )
        if not agrees:
            return InputGiven(asked.input_id, "decline")
        return InputGiven(asked.input_id, "accept", await _content(asked, read))
    except _NotGivenError:
        return InputGiven(asked.input_id, "cancel")


async def _content(asked: InputAsked, read: Read) -> dict[str, Any]:
    properties = asked.schema.get("properties")
    fields = cast("dict[str, Any]", properties if isinstance(properties, dict) else {})
    required = asked.schema.get("required")
    needed = set(cast("list[Any]", required)) if isinstance(required, list) else set[Any]()
    content: dict[str, Any] = {}
    for name, field in fields.items():
        schema = cast("dict[str, Any]", field if isinstance(field, dict) else {})
        value = await _value(name, schema, read, is_needed=name in needed and "default" not in schema)
        if value is not None:
            content[name] = value
    return content


async def _value(name: str, schema: Mapping[str, Any], read: Read, *, is_needed: bool) -> Any:
    """The value of one field; None where it was left empty and may be."""
    kind = schema.get("type")
    hints = [str(schema.get("title") or schema.get("description") or kind or "text")]
    if choices := schema.get("enum"):
        hints.append(f"one of {json.dumps(choices, ensure_ascii=False)}")
    if "default" in schema:
        hints.append(f"empty: {json.dumps(schema['default'], ensure_ascii=False)}")
    while True:
        line = (await _line(f"{name} ({'; '.join(hints)}): ", read)).strip()
        if not line and not is_needed:
            return None
        value = _parsed(line, kind)
        if line and value is not None and (not isinstance(choices, list) or value in choices):
            return value


def _parsed(line: str, kind: object) -> Any:
    """The line as a value of this JSON type; None if it is none."""
    match kind:
        case "boolean":
            return True if line.lower() in _YES else False if line.lower() in _NO else None
        case "integer" | "number":
            return _number(line, whole=kind == "integer")
        case "array":
            return [part.strip() for part in line.split(",")]
        case _:
            return line


def _number(line: str, *, whole: bool) -> int | float | None:
    try:
        return int(line) if whole else float(line)
    except ValueError:
        return None


async def _agrees(prompt: str, read: Read) -> bool:
    while True:
        said = (await _line(prompt, read)).strip().lower()
        if said in _YES | _NO:
            return said in _YES


async def _line(prompt: str, read: Read) -> str:
    line = await read(prompt)
    if line is None:
        raise _NotGivenError
    return line
