"""Odd data from a seed: JSON that is nearly right, wrong in one place or two, or nonsense altogether.

Hypothesis hands out the seeds; what is made of one is cheap, so that thousands fit into a test. A failing seed makes
the same data again.
"""

import json
import os
from random import Random
from typing import Any, cast

from hypothesis import strategies as st

SCALE = int(os.environ.get("AGENT_MCP_FUZZ_SCALE", "1"))
"""How many times the usual number of examples; for a long run."""

seeds = st.integers(min_value=0, max_value=2**32)

_STRINGS = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\ud800",
        "é",
        "\u202e",
        "\U000e0041",
        "\r\n",
        "x" * 3_000,
        "${",
        "${X}",
        "${file:/}",
        "null",
    ),
    *(
        "../../etc/passwd",
        "-1",
        "1e999",
        "NaN",
        "{}",
        "[]",
        "%s%n",
        "__proto__",
        "*",
        "a__b",
        "scripted:x",
        "http://[x",
    ),
    *(
        "https://u:p@h:99999/",
        "sqlite:///\0",
        "openai:",
        ":",
        "off",
        "TRUE",
        "call_1",
        "s1",
        "é" * 70,
        "\x1b[2J",
        "\ufeff",
    ),
)
_NUMBERS = (0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e308, 1e-308, True, False)


def odd_value(random: Random, depth: int = 2) -> Any:
    """Any JSON value."""
    kind = random.randrange(9 if depth else 6)
    if kind < 3:
        return random.choice(_STRINGS)
    if kind < 5:
        return random.choice(_NUMBERS)
    if kind == 5:
        return None
    if kind < 8:
        return {odd_key(random): odd_value(random, depth - 1) for _ in range(random.randrange(4))}
    return [odd_value(random, depth - 1) for _ in range(random.randrange(4))]


def odd_key(random: Random) -> str:
    """A key, often one that means something somewhere."""
    return random.choice(("type", "name", "id", "text", "data", "content", "index", random.choice(_STRINGS)))


def mutated(template: Any, random: Random, *, most: int = 3) -> Any:
    """A copy of JSON data with up to `most` things wrong in it."""
    data = json.loads(json.dumps(template))
    for _ in range(random.randint(1, most)):
        data = _changed(data, random)
    return data


def _changed(data: Any, random: Random) -> Any:
    """One thing changed, at any depth; the root itself only now and then."""
    if not _has_inside(data) or random.randrange(40) == 0:
        return odd_value(random)
    place: Any = data
    while True:
        key: Any = random.choice(_keys(place))
        if _has_inside(place[key]) and random.random() < 0.7:
            place = place[key]
            continue
        _change(place, key, random)
        return data


def _has_inside(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(cast("Any", value))


def _keys(place: Any) -> list[Any]:
    return list(cast("dict[str, Any]", place)) if isinstance(place, dict) else list(range(len(place)))


def _change(place: Any, key: Any, random: Random) -> None:
    named = isinstance(place, dict)
    match random.randrange(5):
        case 0:
            del place[key]
        case 1 if named:
            place[odd_key(random)] = odd_value(random)
        case 1:
            place.insert(key, odd_value(random))
        case 2 if named:
            place[f"{key}{random.choice(('s', ' ', '_'))}"] = cast("Any", place).pop(key)
        case _:
            place[key] = odd_value(random)


def as_object(data: Any) -> dict[str, Any]:
    """The data where only an object can be sent."""
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {"content": data}


def torn(data: bytes, random: Random) -> bytes:
    """Bytes with a piece missing, doubled, or replaced by others."""
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.randrange(200))
    middle = random.choice(
        (b"", data[start:end] * 2, random.randbytes(random.randrange(20)), b"\n\n", b"\xff")
    )
    return data[:start] + middle + data[end:]
