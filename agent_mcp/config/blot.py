"""Blotting: secrets out of texts, in every form that a program may have given them. Knows no config.

A secret that was encoded is as good as the secret itself, so its base64 (at each of the three offsets at which it may
stand in a longer text), percent-encoded, hexadecimal and escaped forms go too, and of a secret of several lines (a
private key) each line, since programs print line by line.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast
from urllib.parse import quote, quote_plus

MASK = "***"
_SHORTEST_FORM = 6
_SHORTEST_LINE = 12
_SHORTEST_BASE64 = 8
"""Fewer of its characters stand in ordinary base64 by chance."""

Hide = Callable[[str], str]
"""The text without its secrets."""


class Blot:
    """Knows secrets and takes them out of texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._told = frozenset(secret for secret in secrets if secret)
        self._learned: tuple[str, ...] = ()
        self._prepare()

    def learn(self, secret: str) -> None:
        """One more secret, of a kind that is renewed: only it and the one before it are still good for anything."""
        if secret not in self._learned:
            self._learned = (*self._learned[-1:], secret)
            self._prepare()

    def _prepare(self) -> None:
        found = self._told.union(self._learned)
        # The longest first: of `abc` and `abcdef` the rest of the longer one would stay.
        self._forms = _longest_first(form for secret in found for form in forms_of(secret))
        self._base64 = _longest_first(form for secret in found for form in _base64_forms(secret))

    def __call__(self, text: str) -> str:
        """The text with `***` in the place of every secret."""
        for form in self._forms:
            # Looking is much cheaper than replacing, and nearly always in vain.
            if form in text:
                text = text.replace(form, MASK)
        return text

    def settled(self, text: str) -> int:
        """How many characters of a text that goes on can be blotted by themselves: the rest may be, or overlap with,
        the beginning of a secret whose end is still to come. Nearly always it is all of them."""
        end = min((_unfinished(text, form) for form in self._forms), default=len(text))
        while cut := [start for form in self._forms if (start := _cut_through(text, form, end)) < end]:
            end = min(cut)
        return end

    def data(self, encoded: str) -> str:
        """Base64 data of the same length, with zeros in the place of every secret, so that it can still be decoded."""
        for form in self._base64:
            if form in encoded:
                encoded = encoded.replace(form, "A" * len(form))
        return encoded

    def json(self, value: Any) -> Any:
        """JSON data with every string blotted, keys too."""
        match value:
            case str():
                return self(value)
            case list():
                return [self.json(item) for item in cast("list[Any]", value)]
            case dict():
                items = cast("dict[str, Any]", value).items()
                return {self(key): self.json(item) for key, item in items}
            case _:
                return value


def _unfinished(text: str, form: str) -> int:
    """Where the text ends in a beginning of the form, the longest; the text's length where it does not."""
    start = text.find(form[0], max(0, len(text) - len(form) + 1))
    while start >= 0 and not form.startswith(text[start:]):
        start = text.find(form[0], start + 1)
    return len(text) if start < 0 else start


def _cut_through(text: str, form: str, at: int) -> int:
    """Where the form begins that a cut would go through; `at` itself where there is none."""
    start = text.find(form, max(0, at - len(form) + 1), at + len(form) - 1)
    return at if start < 0 else start


def forms_of(secret: str) -> frozenset[str]:
    """The secret and what it becomes where programs write it down."""
    escaped = (
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        _in_html(secret),
    )
    in_addresses = (quote(secret, safe=""), quote(secret), quote_plus(secret))
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {secret, *escaped, *in_addresses, raw.hex(), raw.hex().upper(), *_lines(secret)}
    return frozenset({form for form in forms if len(form) >= _SHORTEST_FORM} | {*_base64_forms(secret)})


def _in_html(text: str) -> str:
    # The module `html` would be imported for this alone, by every start.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _lines(secret: str) -> Iterator[str]:
    lines = secret.splitlines()
    if len(lines) > 1:
        inner = (line.strip() for line in lines)
        yield from (line for line in inner if len(line) >= _SHORTEST_LINE and not line.startswith("-----"))


def _base64_forms(secret: str) -> Iterator[str]:
    """Whole, and the characters that the secret alone decides, at each offset within a group of three bytes."""
    raw = secret.encode("utf-8", "surrogatepass")
    whole = b64encode(raw).decode()
    for form in (whole, *(_within(raw, offset) for offset in range(3))):
        if len(form) >= _SHORTEST_BASE64:
            yield form
            yield form.translate(str.maketrans("+/", "-_"))


def _within(raw: bytes, offset: int) -> str:
    encoded = b64encode(b"\0" * offset + raw).decode()
    return encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]


def _longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(forms), key=len, reverse=True))
