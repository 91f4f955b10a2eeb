"""What the model reads of a tool's answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_mcp.agent.messages import Content, Media, Text, ToolCall
from agent_mcp.downstream.content import to_content, to_result

_CALL = ToolCall("call_1", "s__t", {}, provider_id="p1")
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _content(answer: dict[str, Any]) -> tuple[Content, ...]:
    return to_result(_CALL, answer, duration_ms=0).content


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": "null"}, Text("null")),
        ({"type": "text", "text": "12345678901234567890.10"}, Text("12345678901234567890.10")),
        ({"type": "image", "data": "aQ==", "mimeType": "image/png"}, Media("image/png", "aQ==")),
        ({"type": "audio", "data": "aQ==", "mimeType": "audio/wav"}, Media("audio/wav", "aQ==")),
        (
            {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
            Text("[resource file:///a]\ninside"),
        ),
        (
            {
                "type": "resource",
                "resource": {"uri": "file:///a", "blob": "aQ==", "mimeType": "application/pdf"},
            },
            Media("application/pdf", "aQ=="),
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a", "blob": "aQ=="}},
            Media("application/octet-stream", "aQ=="),
        ),
        (
            {"type": "resource_link", "uri": "file:///a", "name": "a", "mimeType": "text/plain", "size": 3},
            Text("[resource link] a: file:///a\ntype: text/plain\nsize: 3 bytes"),
        ),
        (
            {"type": "resource_link", "uri": "file:///a", "name": "a", "description": "what it is"},
            Text("[resource link] a: file:///a\nwhat it is"),
        ),
        ({"type": "hologram", "depth": 3}, Text('{"type":"hologram","depth":3}')),
        ({"type": "image", "data": 5}, Text('{"type":"image","data":5}')),
        ("no block at all", Text('"no block at all"')),
    ],
)
def test_each_kind_of_block_reaches_the_model(block: Any, expected: Content) -> None:
    assert to_content(block) == expected


def test_an_empty_answer_is_a_success_without_content() -> None:
    result = to_result(_CALL, {"content": []}, duration_ms=3)
    assert (result.content, result.is_error, result.code, result.duration_ms) == ((), False, None, 3)


def test_an_answer_without_content_at_all_is_a_success_too() -> None:
    assert to_result(_CALL, {}, duration_ms=0).content == ()


@pytest.mark.parametrize("content", ["plain", {"type": "text", "text": "plain"}])
def test_content_that_is_no_list_is_one_block(content: Any) -> None:
    (block,) = _content({"content": content})
    assert isinstance(block, Text) and "plain" in block.text


def test_a_tools_own_error_keeps_its_content_as_it_is() -> None:
    result = to_result(_CALL, {"content": [{"type": "text", "text": "no"}], "isError": True}, duration_ms=0)
    assert (result.content, result.is_error, result.code) == ((Text("no"),), True, "TOOL_ERROR")


def test_the_result_carries_the_ids_of_its_call() -> None:
    result = to_result(_CALL, {}, duration_ms=0)
    assert (result.call_id, result.provider_id) == ("call_1", "p1")


def test_structured_content_is_added_as_compact_json() -> None:
    answer = {"content": [{"type": "text", "text": "two"}], "structuredContent": {"n": 2}}
    assert _content(answer) == (Text("two"), Text('{"n":2}'))


def test_structured_content_that_a_text_repeats_is_not_said_twice() -> None:
    answer = {
        "content": [{"type": "text", "text": '{\n "b": 1, "a": 2}'}],
        "structuredContent": {"a": 2, "b": 1},
    }
    assert _content(answer) == (Text('{\n "b": 1, "a": 2}'),)


def test_true_and_1_are_not_the_same_structured_content() -> None:
    answer = {"content": [{"type": "text", "text": '{"a": 1}'}], "structuredContent": {"a": True}}
    assert _content(answer) == (Text('{"a": 1}'), Text('{"a":true}'))


@pytest.mark.parametrize("value", [[], 0, "", False, {}])
def test_falsy_structured_content_is_kept(value: Any) -> None:
    assert _content({"structuredContent": value}) == (Text(json.dumps(value)),)


@given(st.lists(_JSON, max_size=4), _JSON)
def test_no_answer_whatever_it_is_loses_a_block(blocks: list[Any], structured: Any) -> None:
    content = _content({"content": blocks, "structuredContent": structured})
    assert len(content) >= len(blocks)


@given(st.text())
def test_text_is_kept_to_the_letter(text: str) -> None:
    assert _content({"content": [{"type": "text", "text": text}]}) == (Text(text),)


@pytest.mark.parametrize(
    ("structured", "text", "said"),
    [
        ({"result": "plain words"}, "plain words", True),
        ({"result": 5}, "5", True),
        ({"result": [1, 2]}, "[1, 2]", True),
        ({"result": None}, "plain words", False),
        ({"result": "other"}, "plain words", False),
        ({"result": "plain words", "more": 1}, "plain words", False),
    ],
)
def test_a_wrapped_result_that_the_text_says_already_is_not_said_twice(
    structured: dict[str, Any], text: str, said: bool
) -> None:
    answer = {"content": [{"type": "text", "text": text}], "structuredContent": structured}
    result = to_result(ToolCall("c1", "s__t", {}), answer, duration_ms=1)
    assert len(result.content) == (1 if said else 2)
