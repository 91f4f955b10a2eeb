"""A tool call as people may see it: with its arguments' secrets hidden, and nothing else. The call itself is sent and
kept as it is.

A result has none by the time it comes here; an argument may hold one that a person told the agent. Knows no secret:
what hides them is handed in.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from agent_mcp.agent.messages import ToolCall

Hide = Callable[[str], str]
"""The text without its secrets."""


def veiled(call: ToolCall, hide: Hide) -> ToolCall:
    """The call with every string of its arguments passed through `hide`."""
    return replace(call, arguments=_veiled(call.arguments, hide), raw_arguments=hide(call.raw_arguments))


def visible(json_text: str, *, keep: str = "") -> str:
    """JSON that reads as what it is: characters that nobody sees, or that move others about, become escapes.

    So no value of an argument can look like another one, or like words of ours, to the person who is to allow it.
    `keep`: such characters that stand between the values, line ends.
    """
    if json_text.isprintable():
        return json_text
    return "".join(char if char.isprintable() or char in keep else _escaped(char) for char in json_text)


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"


def _veiled(value: Any, hide: Hide) -> Any:
    match value:
        case str():
            return hide(value)
        case list():
            return [_veiled(item, hide) for item in cast("list[Any]", value)]
        case dict():
            return {hide(key): _veiled(item, hide) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value
