"""One entry set in the text of a JSON, JSONC or TOML file, with every other byte of it left alone. Text in, text out.

All check their work: the new text, parsed, must be the old data with this one entry changed and nothing else.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=[ \t\r\n]*[}\]])', re.DOTALL)
_LAST_COMMA_AND_COMMENT = re.compile(r"[ \t]*,?([ \t]*//[^\r\n]*)?")
_decoder = json.JSONDecoder()


class UnfitTextError(Exception):
    """The text is not what we can change safely; the message says why, for people."""


def parse(text: str, syntax: str) -> dict[str, Any]:
    """The data of a whole file; empty for an empty one.

    Raises:
        UnfitTextError: it is broken, or is no object.
    """
    if not text.strip("\ufeff \t\r\n"):
        return {}
    try:
        data = tomllib.loads(text) if syntax == "toml" else json.loads(_json(text, syntax))
    except (ValueError, RecursionError) as error:
        comments = " (comments are not plain JSON)" if syntax == "json" and re.search(r"//|/\*", text) else ""
        raise UnfitTextError(f"it is no valid {syntax.upper()}{comments}: {error}") from error
    if not isinstance(data, dict):
        raise UnfitTextError("it holds no object")
    return cast("dict[str, Any]", data)


def _json(text: str, syntax: str) -> str:
    return (_without_comments(text) if syntax == "jsonc" else text).removeprefix("\ufeff")


def entries_of(text: str, syntax: str, section: str) -> dict[str, Any]:
    """The server entries of a file; empty where it has none.

    Raises:
        UnfitTextError: the file is broken, or what should hold the entries is no object.
    """
    entries = parse(text, syntax).get(section, {})
    if not isinstance(entries, dict):
        raise UnfitTextError(f"its `{section}` is no object")
    return cast("dict[str, Any]", entries)


def set_entry(text: str, syntax: str, *, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with `section.name` set to `entry`.

    Raises:
        UnfitTextError: it can't be done without touching more than that.
    """
    entries = entries_of(text, syntax, section)
    expected = {**parse(text, syntax), section: {**entries, name: dict(entry)}}
    after = (_set_toml if syntax == "toml" else _set_json)(text, section, name, entry)
    try:
        same = parse(after, syntax) == expected
    except UnfitTextError:
        same = False
    if not same:
        raise UnfitTextError("its form leaves no place for one more entry")
    return after


def snippet(syntax: str, *, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """The entry alone, to be pasted."""
    if syntax == "toml":
        return _toml_table(section, name, entry)
    return json.dumps({section: {name: dict(entry)}}, indent=2, ensure_ascii=False)


# --- JSON --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Object:
    """Where an object of a JSON text stands."""

    start: int
    values: Mapping[str, tuple[int, int]]
    """From where to where each value goes; of repeated keys the last, which is the one that counts."""
    end: int
    """The place of the closing brace."""


def _read_object(text: str, start: int) -> _Object:
    """The object whose opening brace is at `start`, in a text that is known to be valid."""
    values: dict[str, tuple[int, int]] = {}
    place = _after_space(text, start + 1)
    while text[place] != "}":
        key, place = _decoder.raw_decode(text, _after_space(text, place))
        begin = _after_space(text, _after_space(text, place) + 1)
        _, place = _decoder.raw_decode(text, begin)
        values[key] = begin, place
        place = _after_space(text, place)
        place += text[place] == ","
        place = _after_space(text, place)
    return _Object(start, values, place)


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _without_comments(text: str) -> str:
    """JSONC as JSON: comments and commas behind the last member become spaces, and all else stays in its place."""
    bare = _STRING_OR_COMMENT.sub(lambda found: _blank(found[0]), text)
    return _STRING_OR_LAST_COMMA.sub(lambda found: _blank(found[0]), bare)


def _blank(token: str) -> str:
    return token if token.startswith('"') else re.sub(r"[^\r\n]", " ", token)


def _set_json(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    text = text if text.strip("\ufeff \t\r\n") else "{}\n"
    bare = _without_comments(text)  # Plain JSON is its own.
    top = _read_object(bare, bare.index("{"))
    if section not in top.values:
        return _set_member(text, top, section, {name: dict(entry)}, depth=1)
    return _set_member(text, _read_object(bare, top.values[section][0]), name, dict(entry), depth=2)


def _set_member(text: str, parent: _Object, key: str, value: object, *, depth: int) -> str:
    """Replace the value of a member, or add the member as the last one, indented as its neighbours are."""
    indent = _indent(text)
    if key in parent.values:
        begin, end = parent.values[key]
        return text[:begin] + _rendered(text, value, indent, depth) + text[end:]
    line = "" if indent is None else f"{_newline(text)}{indent * depth}"
    member = f"{json.dumps(key)}: {_rendered(text, value, indent, depth)}"
    if parent.values:
        last = max(end for _, end in parent.values.values())
        comment, rest = _after_member(text, last)
        return f"{text[:last]},{comment}{line or ' '}{member}{text[rest:]}"
    close = "" if indent is None else f"{_newline(text)}{indent * (depth - 1)}"
    before = text[: parent.end].rstrip(" \t\r\n")
    return f"{before}{line}{member}{close}{text[parent.end :]}"


def _after_member(text: str, end: int) -> tuple[str, int]:
    """The comment that the last member's line ends in, and the place behind it and behind a comma of its own."""
    found = _LAST_COMMA_AND_COMMENT.match(text, end)
    if found is None or not found[0].strip():
        return "", end
    return found[1] or "", found.end()


def _indent(text: str) -> str | None:
    """One step of the file's indentation; None for a file that is one line with something in it."""
    if match := re.search(r"\n([ \t]+)\S", _without_comments(text)):
        return match[1]
    return "  " if len(text.strip()) <= 2 or "\n" in text.strip() else None


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _rendered(text: str, value: object, indent: str | None, depth: int) -> str:
    lines = json.dumps(value, indent=indent, ensure_ascii=False).split("\n")
    return f"{_newline(text)}{(indent or '') * depth}".join(lines)


# --- TOML --------------------------------------------------------------------------------------------------


def _set_toml(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    newline = _newline(text)
    table = _toml_table(section, name, entry).replace("\n", newline)
    lines = text.splitlines(keepends=True)
    found = _own_lines(lines, section, name)
    if found is not None:
        begin, end = found
        return "".join([*lines[:begin], table, *lines[end:]])
    gap = "" if not text.strip() else newline if text.endswith("\n") else newline * 2
    return f"{text}{gap}{table}"


def _own_lines(lines: list[str], section: str, name: str) -> tuple[int, int] | None:
    """From where to where our table and its sub-tables go, without the comments that lead on to the next one."""
    key = rf"\s*\[\s*{re.escape(section)}\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*"
    begin = next((i for i, line in enumerate(lines) if re.match(rf"{key}\]", line)), None)
    if begin is None:
        return None
    end = begin + 1
    while end < len(lines) and (not re.match(r"\s*\[", lines[end]) or re.match(rf"{key}\.", lines[end])):
        end += 1
    while end < len(lines) and re.match(r"\s*(#.*)?$", lines[end - 1]):
        end -= 1
    return begin, end


def _toml_table(section: str, name: str, entry: Mapping[str, Any]) -> str:
    lines = [f"{_toml_key(key)} = {_toml(value)}" for key, value in entry.items()]
    return "\n".join([f"[{section}.{_toml_key(name)}]", *lines, ""])


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _toml(value: object) -> str:
    """A value in one line. JSON's strings, numbers and booleans are TOML's too."""
    match value:
        case dict():
            members = cast("dict[str, object]", value).items()
            return "{ " + ", ".join(f"{_toml_key(key)} = {_toml(each)}" for key, each in members) + " }"
        case list():
            return "[" + ", ".join(map(_toml, cast("list[object]", value))) + "]"
        case str() | bool() | int() | float():
            return json.dumps(value, ensure_ascii=False)
        case _:
            raise UnfitTextError(f"its entry holds a value that is not understood: {value!r}")
