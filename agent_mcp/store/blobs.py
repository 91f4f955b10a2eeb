"""Large contents of tool results, kept once by their hash and put back when an event is read. Knows no database.

Only a part's text or data is taken out, never an event: equal results of two calls differ in the calls' ids. In the
stored JSON such a part has a key `blob`, which no part of ours has and no content can forge: inside a JSON string a
quotation mark is escaped.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent_mcp.store.codec import Encoded

LARGE_CHARACTERS = 64 * 1024
"""Shorter contents stay in their event: a row of its own would cost more than it saves."""

_KIND = "tool_result"
_MARK = '"blob":"'
_REFERENCE = re.compile(r'"blob":"([0-9a-f]{64})"')


def set_apart(encoded: Encoded) -> Encoded:
    """The event with its large contents in `blobs` instead of its text."""
    if encoded.kind != _KIND or len(encoded.text) < LARGE_CHARACTERS:
        return encoded
    fields = json.loads(encoded.text)
    blobs = dict(_taken_from(part) for part in fields["content"] if _is_large(part))
    return encoded._replace(text=_dump(fields), blobs=tuple(blobs.items())) if blobs else encoded


def blobs_of(kind: str, text: str) -> Sequence[str]:
    """The hashes that a stored event refers to; quick for those that refer to none."""
    if kind != _KIND or _MARK not in text:
        return ()
    return _REFERENCE.findall(text)


def put_back(text: str, blobs: Mapping[str, str]) -> str:
    """The event's JSON as it was before `set_apart`, to the byte.

    Raises:
        KeyError: a blob is missing.
    """
    fields = json.loads(text)
    for part in fields["content"]:
        if (hashed := part.pop("blob", None)) is not None:
            part[_key_of(part)] = blobs[hashed]
    return _dump(fields)


def _is_large(part: Mapping[str, Any]) -> bool:
    content: object = part.get(_key_of(part))
    return isinstance(content, str) and len(content) >= LARGE_CHARACTERS


def _key_of(part: Mapping[str, Any]) -> str:
    """Where a part's content stands: media have `data`."""
    return "data" if "data" in part else "text"


def _taken_from(part: dict[str, Any]) -> tuple[str, str]:
    key = _key_of(part)
    content, part[key] = part[key], ""
    part["blob"] = hashlib.sha256(content.encode()).hexdigest()
    return part["blob"], content


def _dump(fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
