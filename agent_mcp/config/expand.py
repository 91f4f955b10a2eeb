"""`${VAR}` and `${VAR:-default}` in the strings of a server entry.

`${env:VAR}`, as Cursor and VS Code write it, is the same as `${VAR}`. Text that only looks like it (`${}`,
`${input:x}`) stays as it is. Values never appear in what is reported: they may be secrets.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

_REFERENCE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Unset:
    """A variable that is not set and has no default."""

    key: str
    """Where it is used, dotted, within the entry."""
    variable: str


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """A copy of JSON data with the references in all its strings replaced; unset ones become empty."""
    match value:
        case str():
            return _REFERENCE.sub(lambda found: _value(found, environ) or "", value)
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
            for found in _REFERENCE.finditer(value):
                if _value(found, environ) is None:
                    yield Unset(key, found[1])
        case list():
            for index, item in enumerate(cast("list[Any]", value)):
                yield from unset(item, environ, key=f"{key}.{index}".lstrip("."))
        case dict():
            for name, item in cast("dict[str, Any]", value).items():
                yield from unset(item, environ, key=f"{key}.{name}".lstrip("."))
        case _:
            return


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str | None:
    """As a shell does it: a default also stands in for an empty variable."""
    name, default = found[1], found[2]
    return environ.get(name) if default is None else environ.get(name) or default
