"""Which known name a mistyped one was meant to be. Knows no config."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None if none is like it."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    folded = name.casefold()
    matches = get_close_matches(folded, list(by_folded), n=1, cutoff=0.6)
    if not matches and len(folded) >= 3:
        matches = [candidate for candidate in by_folded if folded in candidate]
    return by_folded[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A way out for the user: the nearest known name, else all of them."""
    names = sorted(known)
    match = nearest(name, names)
    if match:
        return f"did you mean `{match}`?"
    return "known: " + ", ".join(f"`{each}`" for each in names) if names else "there are none"


def distance(left: str, right: str) -> int:
    """How many letters must be put in, taken out or replaced to make one of the other (Levenshtein)."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(right, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
