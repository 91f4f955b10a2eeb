"""Requests as bytes: what one message becomes is rendered once and kept; a request only joins the pieces.

The SDKs walk a typed history at each call: 0.8 s for 800 tool results in the worst of them, against 1 ms for the
join. The pieces are kept as long as their message lives. Knows no wire format.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any
from weakref import WeakKeyDictionary

from agent_mcp.agent.messages import Media, Message, Reply, ToolResult
from agent_mcp.agent.tools import Tool

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_MAX_TOOL_LISTS = 256
_NOT_AT_TOP = frozenset({"oneOf", "anyOf", "allOf", "enum", "not"})
"""Refused by Anthropic (the first three) and OpenAI (all) at the top of a tool's schema."""

NO_TEXT = "(no text)"
"""Stands where a provider refuses an empty text."""
NO_OUTPUT = "(no output)"


def to_json(value: object) -> str:
    """Compact JSON text; what is no valid Unicode (a lone surrogate) becomes a question mark."""
    text = _encode(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def quote(text: str) -> str:
    """A JSON string, ten times faster than `to_json`; lone surrogates stay and fall to `encode`."""
    return encode_basestring(text)


def encode(text: str) -> bytes:
    """UTF-8; a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace")


def join_object(fields: Mapping[str, bytes]) -> bytes:
    """A JSON object of fields whose values are JSON already, in their order."""
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields.items()) + b"}"


class Fragments:
    """Each message's rendering for one wire, made once. `render` also gets the last reply before the message,
    since results carry ids of the calls that they answer."""

    def __init__(self, render: Callable[[Message, Reply | None], bytes]) -> None:
        self._render = render
        self._kept: WeakKeyDictionary[Message, bytes] = WeakKeyDictionary()

    def __len__(self) -> int:
        """How many messages are kept now."""
        return len(self._kept)

    def of(self, history: Sequence[Message]) -> Iterator[tuple[Message, bytes]]:
        """Every message with its rendering."""
        reply: Reply | None = None
        kept = self._kept
        for message in history:
            fragment = kept.get(message)
            if fragment is None:
                fragment = kept[message] = self._render(message, reply)
            yield message, fragment
            if isinstance(message, Reply):
                reply = message


class ToolFragments:
    """A tool list's rendering for one wire, kept for the sequence object that a turn uses throughout."""

    def __init__(self, render: Callable[[Tool], Mapping[str, Any]]) -> None:
        self._render = render
        self._kept: dict[int, tuple[Sequence[Tool], bytes]] = {}

    def __len__(self) -> int:
        """How many lists are kept now."""
        return len(self._kept)

    def of(self, tools: Sequence[Tool]) -> bytes:
        """The JSON array."""
        entry = self._kept.get(id(tools))
        if entry is not None:
            return entry[1]
        rendered = self._equal(tools) or encode(to_json([self._render(tool) for tool in tools]))
        while len(self._kept) >= _MAX_TOOL_LISTS:
            del self._kept[next(iter(self._kept))]
        # Holding the sequence keeps its id from being given to another one.
        self._kept[id(tools)] = (tools, rendered)
        return rendered

    def _equal(self, tools: Sequence[Tool]) -> bytes | None:
        """Another session's equal list: one rendering serves all sessions of an agent."""
        for other, rendered in self._kept.values():
            if len(other) == len(tools) and all(map(_same, other, tools)):
                return rendered
        return None


def _same(one: Tool, other: Tool) -> bool:
    return one is other or one == other


def object_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as providers accept it: an object at the top, without the keywords they refuse there."""
    kept = {key: value for key, value in schema.items() if key not in _NOT_AT_TOP}
    return {**kept, "type": "object", "properties": kept.get("properties") or {}}


def output_limit(own: int | None, asked: int | None) -> int | None:
    """How many tokens of output a request allows: the smaller of the configured and the asked number."""
    return min((limit for limit in (own, asked) if limit is not None), default=None)


def note_of(media: Media) -> str:
    """What a model reads in place of media that its wire does not take."""
    kilobytes = max(1, len(media.data) * 3 // 4 // 1000)
    return f"[{media.mime_type}, {kilobytes} kB: not shown to this model]"


def result_text(text: str, result: ToolResult) -> str:
    """The text of a result on a wire without an error flag: a failure starts with its code, and none is blank."""
    shown = text if text.strip() else NO_OUTPUT
    code = result.code or "TOOL_ERROR"
    if not result.is_error or shown.startswith(f"{code}:"):
        return shown
    return f"{code}: {shown}"


def call_ids(reply: Reply | None, wire: str) -> dict[str, str]:
    """The id by which each call of the reply is known on this wire.

    The provider's own where it made the reply; else ours, which are unique in every history and fit every wire.
    """
    if reply is None:
        return {}
    own = reply.wire == wire
    return {call.id: (own and call.provider_id) or call.id for call in reply.tool_calls}
