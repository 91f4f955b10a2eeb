"""A secret is taken out of a text in every form that a program may have given it."""

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_mcp.config.blot import Blot

SECRET = 'p?a&s"s>w\\örd~42'
BLOT = Blot([SECRET])


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr({"k": SECRET}),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        b64encode(SECRET.encode()).decode(),
        urlsafe_b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
    ],
)
def test_every_usual_form_is_blotted(form: str) -> None:
    blotted = BLOT(f"before {form} after")
    assert form not in blotted
    assert blotted.startswith("before ")
    assert blotted.endswith(" after")
    assert "***" in blotted


@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_base64_that_holds_it_anywhere_no_longer_does(before: bytes, after: bytes) -> None:
    encoded = b64encode(before + SECRET.encode() + after).decode()
    assert "***" in BLOT(encoded)
    data = BLOT.data(encoded)
    assert len(data) == len(encoded)
    assert SECRET.encode() not in b64decode(data)


def test_a_secret_of_several_lines_is_known_by_each_of_them() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nSecondLineOfTheKey12\n-----END KEY-----"
    assert Blot([key])("line 7: SecondLineOfTheKey12") == "line 7: ***"
    assert Blot([key])("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert Blot(["secret", "secret-and-more"])("a secret-and-more b") == "a *** b"


def test_json_is_blotted_in_keys_and_values_and_nothing_else_is_touched() -> None:
    value = {"a": [1, None, True, f"x {SECRET}"], SECRET: {"b": 2.5}}
    assert BLOT.json(value) == {"a": [1, None, True, "x ***"], "***": {"b": 2.5}}
    assert Blot(())("as it is") == "as it is"


def test_of_what_is_renewed_the_last_two_are_known() -> None:
    blot = Blot(["for-good"])
    for token in ("token-one", "token-two", "token-two", "token-three"):
        blot.learn(token)
    assert blot("for-good token-one token-two token-three") == "*** token-one *** ***"


@given(
    secrets=st.lists(st.text("ab", min_size=6, max_size=9), max_size=3),
    pieces=st.lists(st.text("ab", max_size=8), max_size=12),
)
def test_a_text_that_comes_in_pieces_is_blotted_as_if_it_were_there_whole(
    secrets: list[str], pieces: list[str]
) -> None:
    blot, held, passed_on = Blot(secrets), "", ""
    for piece in pieces:
        held += piece
        settled = blot.settled(held)
        passed_on, held = passed_on + blot(held[:settled]), held[settled:]
    assert passed_on + blot(held) == blot("".join(pieces))


def test_only_what_may_begin_a_secret_waits_for_the_rest() -> None:
    assert BLOT.settled("nothing of the kind") == len("nothing of the kind")
    assert BLOT.settled(f"it is {SECRET[:-1]}") == len("it is ")
    assert BLOT.settled(f"it is {SECRET}.") == len(f"it is {SECRET}.")
