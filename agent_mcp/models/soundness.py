"""The last look at a reply before it goes into the log, where what is not of its type could not be read again.

Adapters take a provider's JSON by its documented shape and do not look at each value. A number that is none is left
out; a text that is none makes the reply a broken one, which is asked for again.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from agent_mcp.agent.messages import Part, Reply, Text, Thinking, ToolCall, Usage
from agent_mcp.errors import TransientModelError
from agent_mcp.models.streaming import ODD_SHAPES

_MOST_TOKENS = 2**53
"""More is no count, and no other reader of the log's JSON could hold it."""


def finished(finish: Callable[[], Reply], *, place: str) -> Reply:
    """The reply that `finish` makes, with nothing in it that is not what its type says.

    Raises:
        TransientModelError: it can't be made, or holds something else in the place of a text.
        ModelError: as `finish`.
    """
    try:
        reply = finish()
    except ODD_SHAPES as error:
        raise _odd(place) from error
    if not all(map(_is_sound, reply.parts)):
        raise _odd(place)
    model: Any = reply.model
    return replace(reply, usage=_counted(reply.usage), model=model if isinstance(model, str) else "")


def _odd(place: str) -> TransientModelError:
    return TransientModelError(f"{place} sent a reply of an unexpected shape")


def _is_sound(part: Part) -> bool:
    match part:
        case Text() | Thinking():
            texts: tuple[Any, ...] = (part.text,)
        case ToolCall():
            texts = (part.name, part.provider_id, part.raw_arguments)
    return all(isinstance(text, str) for text in texts)


def _counted(usage: Usage) -> Usage:
    counts = {
        each.name: _count(getattr(usage, each.name)) for each in fields(usage) if each.name != "cost_usd"
    }
    return replace(usage, **counts)


def _count(value: Any) -> int:
    """Some servers count in floats, or write the number as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        count = int(value)
    except (ValueError, OverflowError):
        return 0
    return count if 0 <= count <= _MOST_TOKENS else 0
