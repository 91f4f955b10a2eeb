"""What a provider's refusal means for us: worth another try, the history too long, or an end. Pure; knows no SDK."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, cast

from agent_mcp.errors import ContextOverflowError, ModelError, TransientModelError

_TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
_TRANSIENT_CODES = frozenset(
    {
        "overloaded_error",
        "api_error",
        "rate_limit_error",
        "timeout_error",
        "server_error",
        "rate_limit_exceeded",
        "vector_store_timeout",
    }
)
_FATAL_CODES = frozenset({"insufficient_quota", "billing_error"})
"""OpenAI sends the first with 429; no wait mends an empty account."""

_OVERFLOW = re.compile(
    r"context[ _]length|context[ _]window|context[ _]size|maximum context|prompt is too long|input is too long"
    r"|exceed\w* (the )?(\w+ )?context|too many (input )?tokens",
    re.IGNORECASE,
)
_MAX_MESSAGE_CHARS = 600


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as a provider reports it, by HTTP status or in the middle of a stream."""

    message: str
    code: str = ""
    """The provider's code or type, whichever says more."""
    status: int | None = None
    """None: it came inside a stream whose status was 200."""
    retry_after_seconds: float | None = None

    def to_error(self, *, place: str, hide: Callable[[str], str], key_variable: str | None) -> ModelError:
        """The error to raise. `place` names provider and address; `hide` takes secrets out of the message."""
        message = f"{place} answered {self._what()}: {_shown(hide(self.message))}"
        if self._is_overflow():
            return ContextOverflowError(message, hint="start a new session, or fork from an earlier step")
        if self._is_transient():
            return TransientModelError(message, retry_after_seconds=self.retry_after_seconds)
        if self.status in (401, 403) and key_variable is not None:
            return ModelError(message, hint=f"check the key in {key_variable}")
        if self.status is not None and 300 <= self.status < 400:
            return ModelError(
                message, hint="a redirect is not followed: write the address it leads to as `base_url`"
            )
        return ModelError(message)

    def _what(self) -> str:
        return " ".join(str(part) for part in (self.status, self.code) if part) or "with an error"

    def _is_overflow(self) -> bool:
        if self.status == 413 or self.code == "context_length_exceeded":
            return True
        return self.status in (400, 422, None) and bool(_OVERFLOW.search(f"{self.code} {self.message}"))

    def _is_transient(self) -> bool:
        if self.code in _FATAL_CODES:
            return False
        if self.status is None:
            return self.code in _TRANSIENT_CODES or not self.code.startswith("invalid")
        return self.status in _TRANSIENT_STATUS or self.status >= 500


def refusal_from_body(
    body: object, *, fallback: str, status: int | None, headers: Mapping[str, str] | None = None
) -> Refusal:
    """Read `{"error": {"message", "type", "code"}}`, in any of the shapes that compatible servers make of it."""
    error = body
    if isinstance(body, dict):
        outer = cast(dict[str, Any], body)
        error = cast(object, outer.get("error") or outer)
    wait = retry_after_seconds(headers) if headers is not None else None
    if not isinstance(error, dict):
        return Refusal(str(error or fallback), status=status, retry_after_seconds=wait)
    fields = cast(dict[str, Any], error)
    code = fields.get("code") if isinstance(fields.get("code"), str) else fields.get("type")
    return Refusal(str(fields.get("message") or fallback), str(code or ""), status, wait)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks us to wait: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date."""
    if milliseconds := _number(headers.get("retry-after-ms")):
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _number(value: str | None) -> float | None:
    if value is None or not re.fullmatch(r"\d{1,9}(\.\d+)?", value.strip()):
        return None
    return float(value)


def _shown(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= _MAX_MESSAGE_CHARS else message[:_MAX_MESSAGE_CHARS] + "…"
