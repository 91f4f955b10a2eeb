"""Whatever an event holds, it comes back from its JSON."""

import json
import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_mcp.agent.messages import Media, Text, Thinking, ToolCall, Usage
from agent_mcp.agent.tools import Tool
from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import (
    ApprovalAsked,
    ApprovalGiven,
    CancelAsked,
    EventData,
    ModelReplied,
    NoteAdded,
    SessionClosed,
    ToolFinished,
    ToolsFixed,
    ToolStarted,
    TurnDelivered,
    TurnEnded,
    UnknownEvent,
    UserMessageAdded,
)
from agent_mcp.sessions.profile import ApprovalRules, Budget, Profile
from agent_mcp.store.codec import clean, decode, decode_profile, encode, encode_profile

any_text = st.text(st.characters(codec=None))
sound_text = st.text()
numbers = st.integers() | st.floats(allow_nan=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | sound_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(sound_text, inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(sound_text, json_values, max_size=3)
calls = st.builds(ToolCall, sound_text, sound_text, st.none() | json_objects, sound_text, sound_text)
contents = st.builds(Text, sound_text) | st.builds(Media, sound_text, sound_text)
parts = st.builds(Text, sound_text) | st.builds(Thinking, sound_text) | calls
usages = st.builds(Usage, st.integers(0), st.integers(0), cost_usd=st.none() | st.floats(0, 1e6))
tools = st.builds(Tool, sound_text, sound_text, json_objects, sound_text, sound_text)

events: st.SearchStrategy[EventData] = st.one_of(
    st.builds(UserMessageAdded, sound_text),
    st.builds(NoteAdded, sound_text),
    st.builds(ToolsFixed, st.tuples(tools), st.tuples(sound_text)),
    st.builds(
        ModelReplied,
        step=st.integers(0),
        parts=st.lists(parts, max_size=4).map(tuple),
        stop=st.sampled_from(["end_turn", "tool_use"]),
        usage=usages,
        read=st.integers(0),
        blocks=sound_text,
        closing=st.sampled_from([None, "budget"]),
    ),
    st.builds(ToolStarted, sound_text, st.booleans()),
    st.builds(ToolFinished, sound_text, st.lists(contents, max_size=3).map(tuple), st.booleans()),
    st.builds(ApprovalAsked, sound_text, st.floats(0, 1e12)),
    st.builds(ApprovalGiven, sound_text, st.sampled_from(["allow", "deny"]), sound_text),
    st.just(CancelAsked()),
    st.builds(TurnEnded, st.just("error"), sound_text, sound_text, sound_text),
    st.just(TurnDelivered()),
    st.just(SessionClosed()),
)


@given(events)
@settings(max_examples=200, deadline=None)
def test_every_event_comes_back_as_it_was(event: EventData) -> None:
    encoded = encode(event)
    assert encoded.data is event
    assert decode(encoded.kind, encoded.text) == event
    assert "kind" not in json.loads(encoded.text)


@given(any_text)
@settings(max_examples=100, deadline=None)
def test_any_string_can_be_stored_and_only_lone_surrogates_change(text: str) -> None:
    encoded = encode(NoteAdded(text))
    encoded.text.encode()
    assert encoded.data == decode(encoded.kind, encoded.text) == NoteAdded(clean(text))
    assert len(clean(text)) == len(text)


def test_what_is_no_number_in_arguments_stays() -> None:
    call = ToolCall("c", "a__b", {"inf": math.inf, "minus": -math.inf, "nan": [math.nan]})
    event = ModelReplied(0, (call,), "tool_use", Usage(), read=0)
    back = decode("model_reply", encode(event).text)
    assert isinstance(back, ModelReplied)
    (part,) = back.parts
    assert isinstance(part, ToolCall) and part.arguments is not None
    assert (part.arguments["inf"], part.arguments["minus"]) == (math.inf, -math.inf)
    assert math.isnan(part.arguments["nan"][0])


@pytest.mark.parametrize("depth", [150, 220, 400])
@pytest.mark.parametrize("leaf", ["x", "\ud800"])
def test_deep_arguments_come_back(depth: int, leaf: str) -> None:
    arguments: Any = leaf
    for _ in range(depth):
        arguments = {"a": arguments}
    encoded = encode(ModelReplied(0, (ToolCall("c", "a__b", arguments),), "tool_use", Usage(), read=0))
    back: Any = decode(encoded.kind, encoded.text)
    found = back.parts[0].arguments
    for _ in range(depth):
        found = found["a"]
    assert found == clean(leaf)


def test_an_unknown_kind_is_kept_apart() -> None:
    assert decode("from_the_future", '{"a": [1]}') == UnknownEvent("from_the_future", {"a": [1]})


def test_an_event_of_an_older_version_gets_defaults_and_one_of_a_newer_loses_what_is_unknown() -> None:
    assert decode("turn_ended", '{"stop_reason": "error"}') == TurnEnded("error")
    assert decode("note", '{"text": "a", "colour": "red"}') == NoteAdded("a")


@pytest.mark.parametrize("text", ["{", "[]", '{"text": 1}', '{"text": null}', "{}"])
def test_an_event_of_a_wrong_shape_is_an_error(text: str) -> None:
    with pytest.raises(StoreError, match="note"):
        decode("note", text)


def test_a_schema_that_is_no_dict_is_stored_as_one() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    event = ToolsFixed((Tool("a__b", "", MappingProxyType(schema), "a", "b"),))
    back = decode("tools_fixed", encode(event).text)
    assert back == ToolsFixed((Tool("a__b", "", schema, "a", "b"),))


def test_what_json_cannot_hold_is_refused() -> None:
    call = ToolCall("c", "a__b", {"x": object()})
    with pytest.raises(StoreError, match="object"):
        encode(ModelReplied(0, (call,), "tool_use", Usage(), read=0))


def test_a_profile_comes_back_as_it_was() -> None:
    profile = Profile(
        agent="a",
        instructions="é \ud800",
        tools=(("a__*", "b__*"), ("*",)),
        budget=Budget(tokens=1, cost_usd=0.1, seconds=2.5, tool_calls=0),
        approvals=ApprovalRules(ask=("*",), off=True),
        interrupted={"docs": "ask"},
    )
    back = decode_profile(encode_profile(profile))
    assert back.instructions == "é \ufffd"
    assert (back.tools, back.budget, back.approvals) == (profile.tools, profile.budget, profile.approvals)
    assert back.interrupted == profile.interrupted
    assert decode_profile('{"agent": "old", "unknown": 1}') == Profile(agent="old")
