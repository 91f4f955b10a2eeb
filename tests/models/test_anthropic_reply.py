"""Assembling a Messages stream: pieces may be cut anywhere."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_mcp.agent.events import TextDelta
from agent_mcp.agent.messages import Reply
from agent_mcp.models.anthropic_reply import AnthropicReply
from agent_mcp.models.target import Target

TARGET = Target(provider="anthropic", model="m", api_key="k")
JSON_OBJECTS = st.dictionaries(
    st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists), max_size=5
)


def reply_of(*events: dict[str, Any]) -> tuple[Reply, str]:
    """The reply, and the text that was emitted."""
    heard: list[str] = []
    reply = AnthropicReply(
        TARGET, lambda event: heard.append(event.text) if isinstance(event, TextDelta) else None
    )
    stop: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": None},
    }
    for event in (*events, stop):
        reply.take(event["type"].encode(), json.dumps(event).encode())
    return reply.finish(), "".join(heard)


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one block."""
    events: list[dict[str, Any]] = [{"type": "content_block_start", "index": index, "content_block": start}]
    return [*events, *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)]


def cut(text: str, places: list[int]) -> list[str]:
    """The text cut at the places."""
    marks = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(marks)]


@settings(deadline=None)
@given(arguments=JSON_OBJECTS, places=st.lists(st.integers(min_value=0), max_size=8), is_ascii=st.booleans())
def test_arguments_are_whole_wherever_the_stream_was_cut(
    arguments: dict[str, Any], places: list[int], is_ascii: bool
) -> None:
    raw = json.dumps(arguments, ensure_ascii=is_ascii)
    start: dict[str, Any] = {"type": "tool_use", "id": "t1", "name": "s__t", "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in cut(raw, places)]
    reply, _ = reply_of(*block(0, start, *deltas))
    assert reply.tool_calls[0].arguments == arguments
    assert json.loads(reply.blocks)[0]["input"] == arguments


@settings(deadline=None)
@given(text=st.text(min_size=1), places=st.lists(st.integers(min_value=0), max_size=8))
def test_text_is_whole_wherever_the_stream_was_cut(text: str, places: list[int]) -> None:
    deltas = [{"type": "text_delta", "text": piece} for piece in cut(text, places)]
    reply, heard = reply_of(*block(0, {"type": "text", "text": ""}, *deltas))
    assert reply.text == heard == text


def test_a_character_torn_between_two_pieces_is_whole_again() -> None:
    deltas = [{"type": "text_delta", "text": "\ud83c"}, {"type": "text_delta", "text": "\udf0d and \udf0d"}]
    reply, _ = reply_of(*block(0, {"type": "text", "text": ""}, *deltas))
    assert reply.text == "🌍 and \ufffd"


def test_citations_and_unknown_deltas_are_kept() -> None:
    start = {"type": "text", "text": "", "citations": None}
    deltas = [
        {"type": "text_delta", "text": "so"},
        {"type": "citations_delta", "citation": {"cited_text": "a"}},
        {"type": "citations_delta", "citation": {"cited_text": "b"}},
        {"type": "new_delta", "weight": 2},
    ]
    reply, _ = reply_of(*block(0, start, *deltas))
    citations = [{"cited_text": "a"}, {"cited_text": "b"}]
    assert json.loads(reply.blocks) == [{"type": "text", "text": "so", "citations": citations, "weight": 2}]


def test_empty_text_blocks_are_left_out() -> None:
    reply, _ = reply_of(*block(0, {"type": "text", "text": ""}))
    assert (reply.parts, reply.blocks) == ((), "")


def test_arguments_that_come_whole_with_the_start_are_read() -> None:
    reply, _ = reply_of(*block(0, {"type": "tool_use", "id": "t", "name": "s__t", "input": {"a": 1}}))
    assert reply.tool_calls[0].arguments == {"a": 1}


def test_a_tool_of_the_providers_own_is_no_call_of_ours_and_keeps_its_input() -> None:
    start: dict[str, Any] = {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}}
    reply, _ = reply_of(*block(0, start, {"type": "input_json_delta", "partial_json": '{"query": "x"}'}))
    assert reply.parts == ()
    assert json.loads(reply.blocks)[0]["input"] == {"query": "x"}


def test_pings_and_unknown_events_mean_nothing() -> None:
    reply, _ = reply_of(
        {"type": "ping"}, {"type": "something_new"}, *block(0, {"type": "text", "text": "hi"})
    )
    assert reply.text == "hi"
