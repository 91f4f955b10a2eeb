"""What the tools accept, and what they say of the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent_mcp.errors import InvalidArgumentError
from agent_mcp.server.arguments import (
    Approve,
    Arguments,
    ForkSession,
    ListSessions,
    OneSession,
    Schemas,
    SendMessage,
    StartSession,
    Summary,
    parse,
)

ALL = [StartSession, SendMessage, Summary, ListSessions, Approve, OneSession, ForkSession]


@pytest.mark.parametrize(
    ("model", "given_arguments", "said"),
    [
        (SendMessage, {}, "session_id: is required."),
        (SendMessage, {"session_id": None}, "session_id: is required."),
        (SendMessage, {"sessionid": "x"}, "Did you mean 'session_id'?"),
        (
            SendMessage,
            {"session_id": "s", "zzz": 1},
            "zzz: unknown argument. Known: session_id, message, wait_seconds.",
        ),
        (SendMessage, {"session_id": 5}, "session_id: must be a string, not 5."),
        (SendMessage, {"session_id": "s", "message": ["hi"]}, "message: must be a string, not ['hi']."),
        (
            SendMessage,
            {"session_id": "s", "wait_seconds": "soon"},
            "wait_seconds: must be a number, not 'soon'.",
        ),
        (
            SendMessage,
            {"session_id": "s", "wait_seconds": -1},
            "wait_seconds: should be greater than or equal to 0",
        ),
        (SendMessage, {"session_id": "s", "wait_seconds": "nan"}, "wait_seconds: "),
        (SendMessage, {"session_id": "s", "wait_seconds": True}, "wait_seconds: must be a number, not True."),
        (StartSession, {"max_steps": 0}, "max_steps: should be greater than or equal to 1, not 0."),
        (StartSession, {"max_steps": 2.5}, "max_steps: must be a whole number, not 2.5."),
        (StartSession, {"servers": "docs"}, "servers: must be a list of strings, not 'docs'."),
        (StartSession, {"servers": ["docs", 5]}, "servers.1: must be a string, not 5."),
        (StartSession, {"budget": {"token": 5}}, "budget.token: unknown argument. Did you mean 'tokens'?"),
        (StartSession, {"budget": 5}, "budget: must be an object, not 5."),
        (StartSession, {"servers": "[" * 10_000}, "servers: must be a list of strings, not '[[["),
        (
            StartSession,
            {"budget": {"tokens": 0}},
            "budget.tokens: should be greater than or equal to 1, not 0.",
        ),
        (
            Summary,
            {"session_id": "s", "detail": "all"},
            "detail: must be 'counts', 'steps' or 'full', not 'all'.",
        ),
        (Approve, {"session_id": "s", "call_id": "c"}, "decision: is required."),
        (
            Approve,
            {"session_id": "s", "call_id": "c", "decision": "ok"},
            "decision: must be 'allow' or 'deny'",
        ),
    ],
)
def test_a_wrong_argument_is_named_with_the_way_out(
    model: type[Arguments], given_arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        parse(model, given_arguments)
    assert said in raised.value.message


def test_null_means_not_given_and_numbers_may_be_strings() -> None:
    start = parse(
        StartSession, {"message": "hi", "agent": None, "max_steps": "3", "budget": {"seconds": "1.5"}}
    )
    assert (start.agent, start.max_steps, start.message) == (None, 3, "hi")
    assert start.budget is not None and start.budget.seconds == 1.5
    assert parse(ListSessions, {"limit": "7"}).limit == 7
    assert parse(ListSessions, None).limit == 20


def test_lists_and_objects_may_be_json_text() -> None:
    start = parse(StartSession, {"servers": '["docs"]', "budget": '{"tokens": 5}'})
    assert start.servers == ["docs"]
    assert start.budget is not None and start.budget.tokens == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted({name for model in ALL for name in model.model_fields})) | st.text(max_size=10)


@given(st.sampled_from(ALL), st.dictionaries(NAMES, JSON, max_size=5))
def test_whatever_comes_is_taken_or_refused_in_plain_words(
    model: type[Arguments], given_arguments: Any
) -> None:
    try:
        parse(model, given_arguments)
    except InvalidArgumentError as error:
        assert ": " in error.message and len(error.message) < 500
        assert "pydantic" not in error.message and "validation" not in error.message


@pytest.mark.parametrize("model", ALL)
def test_schemas_are_plain_and_small(model: type[Arguments]) -> None:
    schema = Schemas.of(model)
    Draft202012Validator.check_schema(schema)
    for word in ("'$ref'", "'$defs'", "'anyOf'", "'title'", "None", "'ge'", "'gt'", "'le'"):
        assert word not in str(schema)
