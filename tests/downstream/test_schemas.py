"""Which input schemas can be shown to a model."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_mcp.downstream.schemas import problem_with

_SOUND: list[Any] = [
    {"type": "object"},
    {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": True}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"enum": [1, "x"]}}},
    {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "array", "items": {}}]}},
    },
    {"type": "object", "properties": {"a": {"type": "array", "items": [{"type": "string"}]}}},
    {"type": "object", "x-unknown": 3, "additionalProperties": False},
]


@pytest.mark.parametrize("schema", _SOUND)
def test_a_sound_schema_has_no_problem(schema: Any) -> None:
    assert problem_with(schema) is None


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (None, "missing"),
        ("object", "not an object"),
        ({}, '"type": "object"'),
        ({"type": "array"}, '"type": "object"'),
        ({"type": "object", "properties": []}, "inputSchema.properties is not an object of schemas"),
        ({"type": "object", "properties": {"a": "string"}}, "inputSchema.properties.a is not a schema"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "inputSchema.properties.a.type"),
        ({"type": "object", "required": "a"}, "required"),
        ({"type": "object", "anyOf": []}, "anyOf"),
        ({"type": "object", "properties": {"a": {"enum": 3}}}, "enum"),
        ({"type": "object", "properties": {"a": {"$ref": 3}}}, "$ref"),
        ({"type": "object", "not": 3}, "inputSchema.not"),
        ({"type": "object", "oneOf": [{"items": 3}]}, "inputSchema.oneOf[0].items"),
    ],
)
def test_a_broken_schema_is_named_with_its_place(schema: Any, problem: str) -> None:
    assert problem in (problem_with(schema) or "")


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(200):
        schema = {"properties": {"a": schema}}
    assert "too deeply" in (problem_with({"type": "object", **schema}) or "")


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "anyOf", "$defs", "not", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_no_json_makes_the_check_itself_fail(value: Any) -> None:
    problem_with({"type": "object", "properties": {"a": value}, "x": value, "$defs": value})
