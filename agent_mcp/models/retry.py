"""Asks again when a provider could not answer. Knows no wire: it wraps any model.

A try is the whole reply, stream included: the SDKs' own retries end where the stream begins, so they are off.
"""

import random
from dataclasses import dataclass

import anyio

from agent_mcp.agent.events import Emit, ReplyRestarted
from agent_mcp.agent.messages import Reply
from agent_mcp.agent.ports import Model, ModelRequest
from agent_mcp.errors import TransientModelError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try."""

    max_tries: int = 5
    base_delay_seconds: float = 0.5
    """The wait before the second try; it doubles with each further one."""
    max_delay_seconds: float = 60.0
    """The longest single wait, also where the provider asks for more."""
    patience_seconds: float = 120.0
    """All waits of one reply together."""

    def wait_seconds(self, error: TransientModelError, failed_tries: int) -> float:
        """How long to wait after that many failed tries: what the provider asks, else a random time from half to
        the whole of the step, so that sessions that failed together don't come back together."""
        if error.retry_after_seconds is not None:
            return min(error.retry_after_seconds, self.max_delay_seconds)
        step = min(self.base_delay_seconds * 2 ** (failed_tries - 1), self.max_delay_seconds)
        return step * random.uniform(0.5, 1.0)


class RetryingModel:
    """A model that tries again; cancelling it ends a wait at once."""

    def __init__(self, model: Model, policy: RetryPolicy) -> None:
        self._model = model
        self._policy = policy

    @property
    def wire(self) -> str:
        """The inner model's."""
        return self._model.wire

    @property
    def name(self) -> str:
        """The inner model's."""
        return self._model.name

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port; tells `emit` before each new try, whose text starts from nothing."""
        waited_seconds = 0.0
        for failed_tries in range(1, self._policy.max_tries):
            try:
                return await self._model.reply(request, emit)
            except TransientModelError as error:
                wait_seconds = self._policy.wait_seconds(error, failed_tries)
                if waited_seconds + wait_seconds > self._policy.patience_seconds:
                    raise _given_up(error, failed_tries) from error
                reason = error.message
            emit(ReplyRestarted(reason=reason, wait_seconds=wait_seconds, attempt=failed_tries + 1))
            await anyio.sleep(wait_seconds)
            waited_seconds += wait_seconds
        return await self._last_try(request, emit)

    async def _last_try(self, request: ModelRequest, emit: Emit) -> Reply:
        try:
            return await self._model.reply(request, emit)
        except TransientModelError as error:
            raise _given_up(error, self._policy.max_tries) from error


def _given_up(error: TransientModelError, tries: int) -> TransientModelError:
    hint = error.hint or "send the message again later, or use another model"
    return TransientModelError(
        f"{error.message} (tried {tries} time{'s' * (tries > 1)})",
        hint=hint,
        retry_after_seconds=error.retry_after_seconds,
    )
