"""The liberties that servers of Chat Completions take."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_mcp.agent.messages import Reply, Text, Thinking
from agent_mcp.errors import TransientModelError
from agent_mcp.models.openai_chat_reply import ChatReply
from agent_mcp.models.target import Target

TARGET = Target(provider="openai-chat", model="m", api_key="none", base_url="http://localhost/v1")


def reply_of(*deltas: dict[str, Any], finish: str | None = "stop") -> Reply:
    """The reply of these deltas."""
    reply = ChatReply(TARGET, lambda _: None)
    for delta in deltas:
        reply.take(
            b"", json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode()
        )
    reply.take(b"", json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}).encode())
    return reply.finish()


def piece(arguments: object = "", *, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """A delta with one piece of a call."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"tool_calls": [{**fields, "function": function}]}


def calls_of(reply: Reply) -> list[tuple[str, dict[str, Any] | None]]:
    """Names and arguments."""
    return [(call.name, call.arguments) for call in reply.tool_calls]


def test_stop_in_spite_of_calls_means_tool_use() -> None:
    assert reply_of(piece("{}", name="a", index=0, id="1"), finish="stop").stop == "tool_use"


def test_pieces_without_index_belong_to_the_call_before_them() -> None:
    reply = reply_of(
        piece('{"x":', name="a", id="1"), piece("1}"), piece('{"y":', name="b", id="2"), piece("2}")
    )
    assert calls_of(reply) == [("a", {"x": 1}), ("b", {"y": 2})]


def test_whole_calls_without_index_and_id_are_calls_of_their_own() -> None:
    reply = reply_of(piece({"x": 1}, name="a"), piece({"y": 2}, name="b"))
    assert calls_of(reply) == [("a", {"x": 1}), ("b", {"y": 2})]
    assert len({call.provider_id for call in reply.tool_calls}) == 2


def test_several_calls_under_one_index_are_told_apart_by_their_ids() -> None:
    reply = reply_of(piece("{}", name="a", index=0, id="1"), piece("{}", name="b", index=0, id="2"))
    assert calls_of(reply) == [("a", {}), ("b", {})]


def test_a_name_in_every_piece_is_one_name() -> None:
    reply = reply_of(piece('{"x"', name="a", index=0, id="1"), piece(":1}", name="a", index=0, id="1"))
    assert calls_of(reply) == [("a", {"x": 1})]


def test_interleaved_calls_come_in_the_order_of_their_starts() -> None:
    reply = reply_of(
        piece('{"x":', name="a", index=0, id="1"),
        piece('{"y":', name="b", index=1, id="2"),
        piece("1}", index=0),
        piece("2}", index=1),
    )
    assert calls_of(reply) == [("a", {"x": 1}), ("b", {"y": 2})]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_vendors_field_is_thinking(field: str) -> None:
    reply = reply_of({field: "Hm"}, {field: "."}, {"content": "Yes"})
    assert reply.parts == (Thinking("Hm."), Text("Yes"))


def test_a_refusal_is_text_and_a_refusal() -> None:
    reply = reply_of({"refusal": "I won't."})
    assert (reply.text, reply.stop) == ("I won't.", "refusal")


def test_no_usage_is_no_tokens() -> None:
    assert reply_of({"content": "x"}).usage.input_tokens == 0


def test_no_finish_reason_is_an_error() -> None:
    with pytest.raises(TransientModelError, match="finish reason"):
        reply_of({"content": "x"}, finish=None)


@pytest.mark.parametrize("error", ["out of memory", {"message": "out of memory", "code": 500}])
def test_an_error_chunk_in_any_shape_is_an_error(error: object) -> None:
    with pytest.raises(TransientModelError, match="out of memory"):
        ChatReply(TARGET, lambda _: None).take(b"", json.dumps({"error": error}).encode())


@settings(deadline=None)
@given(
    arguments=st.dictionaries(st.text(), st.text() | st.integers(), max_size=4),
    places=st.lists(st.integers(min_value=0), max_size=6),
)
def test_arguments_are_whole_wherever_the_stream_was_cut(
    arguments: dict[str, Any], places: list[int]
) -> None:
    raw = json.dumps(arguments)
    marks = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    cut = [raw[start:end] for start, end in pairwise(marks)]
    reply = reply_of(piece("", name="a", index=0, id="1"), *(piece(part, index=0) for part in cut))
    assert calls_of(reply) == [("a", arguments)]
