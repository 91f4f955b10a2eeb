"""The openai SDK as both of its wires use it: ready-made bytes out, a raw response back, its errors as ours."""

from typing import Any

import httpx2
import openai

from agent_mcp.errors import ModelError, TransientModelError
from agent_mcp.models.faults import Refusal, refusal_from_body
from agent_mcp.models.streaming import describe, timeout_of
from agent_mcp.models.target import Target


class OpenAiClient:
    """One SDK client."""

    def __init__(self, target: Target, read_timeout_seconds: float) -> None:
        self._sdk = openai.AsyncOpenAI(
            api_key=target.api_key,
            base_url=target.base_url,
            default_headers=dict(target.headers),
            timeout=timeout_of(read_timeout_seconds),
            max_retries=0,
        )

    async def send(self, path: str, body: bytes, target: Target) -> httpx2.Response:
        """Send a request; the response's stream is unread.

        Raises:
            ModelError: by what the provider answered, see `faults`.
        """
        try:
            return await self._sdk.post(
                path,
                content=body,
                cast_to=httpx2.Response,
                stream=True,
                stream_cls=openai.AsyncStream[Any],
                # It may lead the conversation and the config's headers to another host.
                options={"follow_redirects": False},
            )  # pyright: ignore[reportReturnType]  (a raw response whatever stream_cls says: see _process_response)
        except openai.APIStatusError as error:
            # Not chained: the SDK's error holds the whole answer, which may repeat the key.
            raise to_error(_refusal(error), target) from None
        except openai.APIConnectionError as error:
            reason = target.without_secrets(describe(error))
            raise TransientModelError(f"{target.place} can't be reached: {reason}") from error

    async def aclose(self) -> None:
        """Close its connections."""
        await self._sdk.close()


def open_client(target: Target, read_timeout_seconds: float) -> OpenAiClient:
    """A client for the target's address and key."""
    return OpenAiClient(target, read_timeout_seconds)


def to_error(refusal: Refusal, target: Target) -> ModelError:
    """The error to raise for a refusal of this target."""
    return refusal.to_error(place=target.place, hide=target.without_secrets, key_variable=target.key_variable)


def _refusal(error: openai.APIStatusError) -> Refusal:
    # The SDK hands over the inner `error` object where there is one.
    return refusal_from_body(
        error.body, fallback=error.message, status=error.status_code, headers=error.response.headers
    )
