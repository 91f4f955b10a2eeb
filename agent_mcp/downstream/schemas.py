"""Whether a tool's input schema can be shown to a model.

A provider refuses the whole request for one broken schema among hundreds, so a tool with such a schema is left out.
This checks the form of the JSON Schema keywords that providers check; it is no validator of arguments.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

_MAX_DEPTH = 64
_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_SCHEMA = (
    "additionalProperties",
    "contains",
    "else",
    "if",
    "not",
    "propertyNames",
    "then",
    "unevaluatedProperties",
)
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMA_MAPS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")


def problem_with(schema: object) -> str | None:
    """What is wrong with a tool's input schema, in one phrase; None if nothing is."""
    if not isinstance(schema, dict):
        return "inputSchema is missing" if schema is None else "inputSchema is not an object"
    root = cast("dict[str, Any]", schema)
    if root.get("type") != "object":
        return 'inputSchema has no "type": "object" at its top level'
    return next(_problems(root, "inputSchema", 0), None)


def is_deeper_than(levels: int, value: object) -> bool:
    """Whether lists and objects stand in each other more levels deep than that."""
    row: list[object] = [value]
    for _ in range(levels + 1):
        row = [child for node in row for child in _children(node)]
        if not row:
            return False
    return True


def _children(node: object) -> Iterable[object]:
    if isinstance(node, dict):
        return cast("dict[str, object]", node).values()
    return cast("list[object]", node) if isinstance(node, list) else ()


def _problems(schema: object, place: str, depth: int) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{place} is not a schema"
        return
    if depth > _MAX_DEPTH:
        yield f"{place} is nested too deeply"
        return
    node = cast("dict[str, Any]", schema)
    yield from _plain_keyword_problems(node, place)
    for part, where in _subschemas(node, place):
        yield from _problems(part, where, depth + 1)


def _plain_keyword_problems(node: Mapping[str, Any], place: str) -> Iterator[str]:
    if "type" in node and not _is_type(node["type"]):
        yield f"{place}.type is no JSON Schema type"
    if "required" in node and not _is_list_of(node["required"], str):
        yield f"{place}.required is not a list of names"
    if "enum" in node and not isinstance(node["enum"], list):
        yield f"{place}.enum is not a list"
    if "$ref" in node and not isinstance(node["$ref"], str):
        yield f"{place}.$ref is not a string"
    for key in _SCHEMA_LISTS:
        if key in node and not (isinstance(node[key], list) and node[key]):
            yield f"{place}.{key} is not a list of schemas"
    for key in _SCHEMA_MAPS:
        if key in node and not isinstance(node[key], dict):
            yield f"{place}.{key} is not an object of schemas"


def _subschemas(node: Mapping[str, Any], place: str) -> Iterator[tuple[object, str]]:
    for key in _SCHEMA:
        if key in node:
            yield node[key], f"{place}.{key}"
    for key in _SCHEMA_LISTS:
        for index, part in enumerate(node.get(key, ())):
            yield part, f"{place}.{key}[{index}]"
    for key in _SCHEMA_MAPS:
        for name, part in node.get(key, {}).items():
            yield part, f"{place}.{key}.{name}"
    items = node.get("items")
    # Up to draft 7 `items` may be a list of schemas, one for each place.
    parts = cast("list[Any]", items) if isinstance(items, list) else [items] if "items" in node else []
    for part in parts:
        yield part, f"{place}.items"


def _is_type(value: object) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return _is_list_of(value, str) and bool(value) and set(cast("list[str]", value)) <= _TYPES


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in cast("list[object]", value))
