"""Reading what providers report, in the shapes that servers make of it."""

import pytest

from agent_mcp.errors import ContextOverflowError, ModelError, TransientModelError
from agent_mcp.models.faults import Refusal, refusal_from_body, retry_after_seconds


def error_of(refusal: Refusal) -> ModelError:
    return refusal.to_error(
        place="here", hide=lambda text: text.replace("sk-secret", "***"), key_variable="KEY"
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, ("m", "overloaded_error")),
        ({"error": {"message": "m", "type": "t", "code": "c"}}, ("m", "c")),
        ({"message": "m", "code": 400, "type": "BadRequest"}, ("m", "BadRequest")),
        ({"error": "m"}, ("m", "")),
        ("<html>bad gateway</html>", ("<html>bad gateway</html>", "")),
        (None, ("fallback", "")),
    ],
)
def test_message_and_code_are_found(body: object, expected: tuple[str, str]) -> None:
    refusal = refusal_from_body(body, fallback="fallback", status=400)
    assert (refusal.message, refusal.code) == expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("prompt is too long: 212345 tokens > 200000 maximum", 400),
        ("input length and `max_tokens` exceed context limit: 1 + 2 > 3", 400),
        ("This model's maximum context length is 4096 tokens.", 400),
        ("the request exceeds the available context size, try increasing it", 400),
        ("Your input exceeds the context window of this model.", 400),
        ("Request size exceeds the maximum", 413),
    ],
)
def test_an_overflow_is_known_by_the_words_of_many_servers(message: str, status: int) -> None:
    assert isinstance(error_of(Refusal(message, status=status)), ContextOverflowError)


def test_an_empty_account_is_not_worth_another_try() -> None:
    error = error_of(Refusal("quota", "insufficient_quota", 429))
    assert not isinstance(error, TransientModelError)


def test_keys_and_walls_of_text_stay_out_of_messages() -> None:
    error = error_of(Refusal("key sk-secret\n" + "x" * 5000, status=500))
    assert "sk-secret" not in error.message
    assert len(error.message) < 700
