"""Happenings of a running turn for whoever listens now. Not in the log; they may be lost."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply that is being written."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyRestarted:
    """The reply broke off and is asked for again: forget the pieces so far."""

    reason: str
    """For people: what went wrong, e.g. "429 rate limited"."""
    wait_seconds: float
    attempt: int
    """The number of the try that comes now, from 2."""


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """A downstream server reports progress of a running call."""

    call_id: str
    progress: float
    total: float | None
    message: str


Happening = TextDelta | ReplyRestarted | ToolProgress
Emit = Callable[[Happening], None]
