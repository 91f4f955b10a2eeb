"""What a server asks for when it refuses, read from its headers."""

import httpx2
import pytest

from agent_mcp.config.schema import LoginEntry, ServerEntry
from agent_mcp.downstream.access import Access, Challenge
from agent_mcp.downstream.guarded import access_of

METADATA = "https://x.example/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (401, "", Challenge()),
        (401, "Basic realm=x", Challenge()),
        (401, 'Bearer scope="a b"', Challenge(scope="a b")),
        (
            401,
            f'Bearer realm="a, b", Resource_Metadata = "{METADATA}", scope=a',
            Challenge(scope="a", resource_metadata=METADATA),
        ),
        (
            403,
            'Bearer error="insufficient_scope", scope="w"',
            Challenge(status="HTTP 403 Forbidden", wants_more=True, scope="w"),
        ),
        (403, "", None),
        (403, 'Bearer error="invalid_token"', None),
        (200, 'Bearer error="insufficient_scope"', None),
        (404, "", None),
    ],
)
def test_a_refusal_says_what_is_wanted(status: int, header: str, expected: Challenge | None) -> None:
    assert Challenge.of(httpx2.Response(status, headers={"WWW-Authenticate": header})) == expected


@pytest.mark.parametrize(
    "challenge",
    [Challenge(), Challenge(scope="a"), Challenge("HTTP 403 Forbidden", wants_more=True, scope="a b")],
)
def test_what_was_kept_is_the_same_again(challenge: Challenge) -> None:
    assert Challenge.from_json(challenge.to_json()) == challenge


def test_a_wish_for_more_is_kept_over_a_plain_refusal() -> None:
    more = Challenge(wants_more=True, scope="w")
    plain = Challenge(scope="r")
    assert more.is_worth_more_than(plain.to_json())
    assert not plain.is_worth_more_than(more.to_json())
    assert not plain.is_worth_more_than(plain.to_json())
    assert not Challenge().is_worth_more_than(None)


def test_a_name_with_a_space_stays_one_word_in_the_shell() -> None:
    access = Access("my docs", "https://x/mcp", LoginEntry(), httpx2.AsyncClient)
    assert access.way_out == "run `agent-mcp login 'my docs'`"


def test_a_program_or_a_server_with_a_token_has_no_login() -> None:
    assert access_of("x", ServerEntry(command="x")) is None
    assert access_of("x", ServerEntry(url="https://x/mcp", headers={"AUTHORIZATION": "Bearer t"})) is None
    assert access_of("x", ServerEntry(url="https://x/mcp", headers={"X-Key": "k"})) is not None
