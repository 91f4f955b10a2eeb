"""What the model calls a tool."""

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from agent_mcp.downstream.naming import full_name, model_name

_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ANY = st.text(min_size=1, max_size=80)
_TRICKY = st.text(alphabet="ab_.-é0123456789f", min_size=1, max_size=40)
_NAMES = st.one_of(_ANY, _TRICKY)


def test_a_plain_name_stays_as_it_is() -> None:
    assert model_name("time", "get_current_time") == "time__get_current_time"


def test_a_name_with_other_characters_is_cleaned_and_ends_in_a_hash() -> None:
    assert re.fullmatch(r"my_docs__get_item_[0-9a-f]{10}", model_name("my docs", "get.item"))


def test_a_long_name_is_cut_to_64_characters() -> None:
    name = model_name("server", "t" * 100)
    assert len(name) == 64
    assert name.startswith("server__ttt")


def test_two_pairs_that_join_to_the_same_text_get_different_names() -> None:
    assert full_name("a", "b__c") == full_name("a__b", "c")
    assert model_name("a", "b__c") != model_name("a__b", "c")


def test_a_tool_cannot_take_the_name_that_another_got_by_hashing() -> None:
    hashed = model_name("a", "b c")
    thief = hashed.removeprefix("a__")
    assert model_name("a", thief) != hashed


@given(_NAMES, _NAMES)
def test_every_name_fits_the_providers_pattern_and_is_stable(server: str, tool: str) -> None:
    name = model_name(server, tool)
    assert _PATTERN.fullmatch(name)
    assert name == model_name(server, tool)


@given(st.tuples(_TRICKY, _TRICKY), st.tuples(_TRICKY, _TRICKY))
def test_different_tools_have_different_names(one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(one != other)
    assert model_name(*one) != model_name(*other)
