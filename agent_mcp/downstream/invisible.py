"""Characters in tools' definitions that a person does not see and a model may read: found, named, taken out. Pure.

Found are control characters (but tab and line ends), format characters (Unicode Cf: zero-width ones, bidirectional
controls, the tag characters from U+E0000), variation selectors where they can't belong to what stands before them, and
letters that look like nothing. Joiners between two letters or emoji are how several scripts and emoji are written, and
stay.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ALLOWED_CONTROLS = "\t\n\r"
_JOINERS = "\u200c\u200d"
_LOOK_LIKE_NOTHING = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SHOWN_KINDS = 5
_CLEANED_LEVELS = 100
"""Texts further down in a schema are not cleaned: nobody writes such."""
_VALUES = frozenset({"const", "default", "enum", "examples", "pattern"})
"""Keys of a schema whose values are compared with arguments: changed, they would not fit any more."""


def without_invisible(text: str) -> str:
    """The text as a person sees it."""
    if text.isascii() and _CONTROLS.search(text) is None:
        return text
    return "".join(char for index, char in enumerate(text) if not _is_hidden(text, index))


def invisible_in(text: str) -> Iterator[str]:
    """Each character of the text that a person does not see."""
    if text.isascii() and _CONTROLS.search(text) is None:
        return
    yield from (char for index, char in enumerate(text) if _is_hidden(text, index))


def _is_hidden(text: str, index: int) -> bool:
    char = text[index]
    if char in _LOOK_LIKE_NOTHING:
        return True
    if char in _JOINERS:
        return not (_is_joinable(text[index - 1 : index]) and _is_joinable(text[index + 1 : index + 2]))
    if _is_selector(char):
        return not _may_be_selected(text[index - 1 : index], char)
    match unicodedata.category(char):
        case "Cc":
            return char not in _ALLOWED_CONTROLS
        case "Cf":
            return True
        case _:
            # Tag characters that Unicode has not assigned yet.
            return "\U000e0000" <= char <= "\U000e0fff"


def _is_joinable(neighbour: str) -> bool:
    return bool(neighbour) and not neighbour.isascii() and unicodedata.category(neighbour)[0] in "LMS"


def _is_selector(char: str) -> bool:
    return (
        "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef" or "\u180b" <= char <= "\u180f"
    )


def _may_be_selected(before: str, selector: str) -> bool:
    """Whether a variation selector can mean something: one alone, after a sign or a letter that has variants."""
    if not before or _is_selector(before):
        return False
    if selector >= "\U000e0100":
        return unicodedata.category(before) == "Lo"
    return before in "#*0123456789" or unicodedata.category(before) in (
        "So",
        "Sm",
        "Sk",
        "Po",
        "Lo",
        "Nl",
        "No",
    )


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A definition as the model is shown it, and what was found in it."""

    description: str
    schema: Mapping[str, Any]
    """The very same object where nothing was taken out."""
    problem: str
    """What people are told; empty where nothing was found."""


def clean_definition(description: str, schema: Mapping[str, Any]) -> Cleaned:
    """The texts of a definition without such characters.

    In the schema only its own texts are cleaned; names of arguments and values are left, since calls must repeat them.
    """
    hidden = Counter(invisible_in(description))
    found_in = ["its description"] if hidden else []
    in_texts, in_values = Counter[str](), Counter[str]()
    for text, is_text in _strings(schema, is_text=False):
        (in_texts if is_text else in_values).update(invisible_in(text))
    if in_texts or in_values:
        found_in.append("its input schema")
    kept = " Those in names and values of its arguments are shown to the model." if in_values else ""
    every = hidden + in_texts + in_values
    problem = f"has invisible characters in {' and '.join(found_in)}: {named(every)}.{kept}" if every else ""
    cleaned = cast("Mapping[str, Any]", _cleaned(schema)) if in_texts else schema
    return Cleaned(without_invisible(description), cleaned, problem)


def named(characters: Mapping[str, int]) -> str:
    """The characters by their numbers, the most frequent first: `U+200B (3 times)`."""
    common = Counter(characters).most_common()
    shown = [f"U+{ord(char):04X}" + (f" ({count} times)" if count > 1 else "") for char, count in common]
    more = f" and {len(shown) - _SHOWN_KINDS} others" if len(shown) > _SHOWN_KINDS else ""
    return ", ".join(shown[:_SHOWN_KINDS]) + more


def _strings(node: object, *, is_text: bool) -> Iterator[tuple[str, bool]]:
    """Every string of a schema, and whether it is text for the reader (a title or description)."""
    waiting: list[tuple[object, bool]] = [(node, is_text)]
    while waiting:
        value, is_text = waiting.pop()
        if isinstance(value, str):
            yield value, is_text
        elif isinstance(value, list):
            waiting += [(item, False) for item in cast("list[object]", value)]
        elif isinstance(value, dict):
            for key, item in cast("dict[str, object]", value).items():
                yield key, False
                waiting.append((item, key in ("title", "description")))


def _cleaned(node: object, levels: int = _CLEANED_LEVELS) -> object:
    if not levels:
        return node
    if isinstance(node, list):
        return [_cleaned(item, levels - 1) for item in cast("list[object]", node)]
    if isinstance(node, dict):
        entries = cast("dict[str, object]", node).items()
        return {key: _cleaned_value(key, item, levels - 1) for key, item in entries}
    return node


def _cleaned_value(key: str, item: object, levels: int) -> object:
    if key in _VALUES:
        return item
    is_text = key in ("title", "description") and isinstance(item, str)
    return without_invisible(str(item)) if is_text else _cleaned(item, levels)
