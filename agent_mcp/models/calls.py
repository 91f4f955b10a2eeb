"""Tool calls as they come out of a stream: arguments parsed by us, ids made usable. Knows no wire.

An SDK turns broken JSON into `{}` in silence; here it stays visible, so that the model can be told.
"""

import json
from math import isfinite
from typing import Any, NoReturn, cast

from agent_mcp.agent.messages import ReplyStop, ToolCall, new_call_id


def whole(pieces: list[str]) -> str:
    """The pieces joined; surrogates that were torn apart between two of them make one character again, and one
    without its other half is replaced, since no log and no wire takes it."""
    text = "".join(pieces)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def parse_arguments(raw: str) -> dict[str, Any] | None:
    """The arguments; None if `raw` is not a JSON object. Empty is an object without keys."""
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _finite(number: str) -> float:
    """A number too large for a float would go on as Infinity, which is not JSON."""
    value = float(number)
    return value if isfinite(value) else _no_constant(number)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def new_call(name: str, raw: str, *, provider_id: str, taken: set[str]) -> ToolCall:
    """A call; its provider id is made up where the server sent none, or one twice in a reply (`taken`)."""
    call_id = new_call_id()
    linked = provider_id if provider_id and provider_id not in taken else call_id
    taken.add(linked)
    arguments = parse_arguments(raw)
    return ToolCall(
        id=call_id,
        name=name,
        arguments=arguments,
        provider_id=linked,
        raw_arguments=raw if arguments is None else "",
    )


def stop_of(stop: ReplyStop | None, *, has_calls: bool) -> ReplyStop:
    """The stop as the loop needs it: between an ordinary end and tool use, and for a reason unknown to us (None),
    the calls decide; servers are careless there."""
    if stop in (None, "end_turn", "tool_use"):
        return "tool_use" if has_calls else "end_turn"
    return stop
