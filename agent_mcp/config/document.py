"""A config file as JSON data: bytes to dictionary, every failure with its place. Knows no key but the top level."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, cast

from agent_mcp.config.check import kind
from agent_mcp.config.findings import Complaint, Findings
from agent_mcp.config.spelling import did_you_mean, distance
from agent_mcp.errors import ConfigError

OURS = ("agents", "defaults", "models", "store", "agents_dir", "server", "retention")
"""A file with none of these is a host's own."""
_KNOWN = ("mcpServers", *OURS)
_IGNORED = ("$schema",)
_MAX_DEPTH = 100


def read_document(file: Path) -> dict[str, Any]:
    """The object in a JSON file, UTF-8 with or without BOM.

    Raises:
        ConfigError: it can't be read or is no JSON object; broken JSON with line and column.
    """
    try:
        data = json.loads(_text(file), parse_constant=_refuse_constant)
        _check_depth(data, 0)
    except json.JSONDecodeError as error:
        place = f"{file}: line {error.lineno}, column {error.colno}"
        raise ConfigError(place, f"this is not JSON: {error.msg}", hint=_json_hint(error)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(file), f"this is not JSON: {error}", hint="mend the file") from error
    if _holds_half_characters(data):
        raise ConfigError(str(file), "a \\u escape stands for half a character", hint="write both halves")
    if _holds_nul(data):
        raise ConfigError(str(file), "a string holds the character U+0000", hint="take it out")
    if not isinstance(data, dict):
        raise ConfigError(
            str(file), f"must hold an object, not {kind(data)}", hint='begin with {"mcpServers": …'
        )
    return cast("dict[str, Any]", data)


def is_host_file(data: Iterable[str]) -> bool:
    """Whether a file with these top-level keys belongs to a host and not to us."""
    return not any(key in OURS for key in data)


def check_top_level(data: Iterable[str], findings: Findings) -> None:
    """Refuse unknown keys; in a host's file only those within two letters of ours, for they were meant for us."""
    keys = [key for key in data if key not in _KNOWN and key not in _IGNORED]
    for key in keys:
        if not is_host_file(data) or _is_almost_ours(key):
            findings.refuse(Complaint(key, "is not a key that we know", _key_hint(key)))


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            str(file), f"can't be read: {error.strerror}", hint="check its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(file), "is not UTF-8 text", hint="save it as UTF-8") from error


def _check_depth(value: object, depth: int) -> None:
    """All that reads the data does so by recursion.

    Raises:
        RecursionError: it is nested far deeper than any config.
    """
    if depth > _MAX_DEPTH:
        raise RecursionError(f"nested deeper than {_MAX_DEPTH} levels")
    inner = cast("dict[str, object]", value).values() if isinstance(value, dict) else value
    if not isinstance(inner, str) and isinstance(inner, Iterable):
        for item in cast("Iterable[object]", inner):
            _check_depth(item, depth + 1)


def _holds_half_characters(data: object) -> bool:
    """Whether a string holds a lone surrogate: JSON's escapes can say it, and no file or pipe takes it."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _holds_nul(data: object) -> bool:
    """Whether a string holds U+0000: no path and no argument of a program can, and all that takes them would raise."""
    match data:
        case str():
            return "\0" in data
        case dict():
            return any(
                map(_holds_nul, [*cast("dict[str, object]", data), *cast("dict[str, object]", data).values()])
            )
        case list():
            return any(map(_holds_nul, cast("list[object]", data)))
        case _:
            return False


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _json_hint(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip()
    before = error.doc[: error.pos].rstrip()
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments"
    if before.endswith(",") or rest.startswith(("}", "]")):
        return "a comma before a closing bracket is too much"
    if before.endswith(("}", "]", '"')) and rest.startswith('"'):
        return "a comma is missing before this"
    return "mend the file at this place"


def _is_almost_ours(key: str) -> bool:
    return any(distance(key.casefold(), ours.casefold()) <= 2 for ours in _KNOWN)


def _key_hint(key: str) -> str:
    if key == "servers":
        return "did you mean `mcpServers`?"  # VS Code's name for it.
    return did_you_mean(key, _KNOWN)
