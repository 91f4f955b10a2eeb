"""`${VAR}` and `${VAR:-default}` in the strings of a server entry, `${file:PATH}` and `${keyring:SERVICE/NAME}` too.

`${env:VAR}`, as Cursor and VS Code write it, is the same as `${VAR}`. A default may hold references of its own. Text
that only looks like one (`${}`, `${input:x}`, one without an end) stays as it is. Values never appear in what is
reported: they may be secrets. What a name stands for is `names`' business; here it is looked up in a mapping.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

_OPENING = re.compile(r"\$\{((?:env:)?[A-Za-z_][A-Za-z0-9_]*|(?:file|keyring):[^{}\r\n]+?)(:-|\})")
_FILE = re.compile(r"\$\{(file:[^{}\r\n]+?)(?=:-|\})")
_BRACKET = re.compile(r"\$\{|\}")


@dataclass(frozen=True, slots=True)
class Unset:
    """A variable that is not set and has no default."""

    key: str
    """Where it is used, dotted, within the entry."""
    variable: str
    """Its name in the mapping: `VAR`, `file:PATH`, `keyring:SERVICE/NAME`."""


@dataclass(frozen=True, slots=True)
class _Reference:
    variable: str
    default: str | None


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """A copy of JSON data with the references in all its strings replaced; unset ones become empty."""
    match value:
        case str():
            return _expanded(value, environ, [])
        case list():
            return [expand(item, environ) for item in cast("list[Any]", value)]
        case dict():
            return {key: expand(item, environ) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def unset(value: Any, environ: Mapping[str, str], *, key: str = "") -> Iterator[Unset]:
    """Every reference in JSON data that `expand` has no value for."""
    match value:
        case str():
            missing: list[str] = []
            _expanded(value, environ, missing)
            yield from (Unset(key, variable) for variable in missing)
        case list():
            for index, item in enumerate(cast("list[Any]", value)):
                yield from unset(item, environ, key=f"{key}.{index}".lstrip("."))
        case dict():
            for name, item in cast("dict[str, Any]", value).items():
                yield from unset(item, environ, key=f"{key}.{name}".lstrip("."))
        case _:
            return


def with_whole_names(text: str, whole: Callable[[str], str]) -> str:
    """The text with every name of a file made whole by `whole`, and not expanded."""
    return _FILE.sub(lambda found: f"${{{whole(found[1])}", text)


def referred(value: Any) -> Iterator[str]:
    """The names of all references in JSON data, those in defaults left out."""
    match value:
        case str():
            yield from (part.variable for part in _split(value) if isinstance(part, _Reference))
        case list():
            for item in cast("list[Any]", value):
                yield from referred(item)
        case dict():
            for item in cast("dict[str, Any]", value).values():
                yield from referred(item)
        case _:
            return


def _expanded(text: str, environ: Mapping[str, str], missing: list[str]) -> str:
    """The text with its references replaced; variables without a value are added to `missing`."""
    parts = _split(text)
    return "".join(part if isinstance(part, str) else _value(part, environ, missing) for part in parts)


def _value(reference: _Reference, environ: Mapping[str, str], missing: list[str]) -> str:
    """As a shell does it: a default also stands in for an empty variable."""
    value = environ.get(reference.variable)
    if reference.default is not None:
        return value or _expanded(reference.default, environ, missing)
    if value is None:
        missing.append(reference.variable)
    return value or ""


def _split(text: str) -> Iterator[str | _Reference]:
    """Plain text and references in turn; those within a default stay in it."""
    begin = 0
    while found := _OPENING.search(text, begin):
        end = found.end() if found[2] == "}" else _after_default(text, found.end())
        if end is None:
            yield text[begin : found.end()]
            begin = found.end()
            continue
        yield text[begin : found.start()]
        yield _Reference(
            found[1].removeprefix("env:"), None if found[2] == "}" else text[found.end() : end - 1]
        )
        begin = end
    yield text[begin:]


def _after_default(text: str, begin: int) -> int | None:
    """The place after the bracket that ends a default, or None if there is none."""
    depth = 1
    for found in _BRACKET.finditer(text, begin):
        depth += 1 if found[0] == "${" else -1
        if not depth:
            return found.end()
    return None
