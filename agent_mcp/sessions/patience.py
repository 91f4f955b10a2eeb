"""A limit of time that stands still while somebody else is waited for. Knows no reason for either."""

import math
from collections.abc import Generator
from contextlib import contextmanager

import anyio


class Patience:
    """A cancel scope with a deadline that moves on by all the time that it was held."""

    def __init__(self, seconds: float | None = None) -> None:
        """`seconds`: None is no limit; then only the time held is counted."""
        self.scope = anyio.CancelScope()
        self.held_seconds = 0.0
        """How long it has stood still, in all, up to the last time that it went on."""
        self._seconds = math.inf if seconds is None else seconds
        self._holders = 0
        self._since = 0.0
        self._left = math.inf

    @contextmanager
    def running(self) -> Generator[None]:
        """Run what the limit is for; it is cancelled when the time is up."""
        self.scope.deadline = anyio.current_time() + self._seconds
        with self.scope:
            yield

    @property
    def is_over(self) -> bool:
        """Whether the time was up, or the scope was cancelled otherwise, before the end of what ran."""
        return self.scope.cancelled_caught

    @contextmanager
    def held(self) -> Generator[None]:
        """Let the time stand still while this context is open; several may be open at once."""
        if not self._holders:
            self._since = anyio.current_time()
            self._left = self.scope.deadline - self._since
            self.scope.deadline = math.inf
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                now = anyio.current_time()
                self.held_seconds += now - self._since
                self.scope.deadline = now + self._left
