"""A mistyped name leads to the one that was meant."""

import pytest

from agent_mcp.config.spelling import did_you_mean, distance, nearest

KEYS = ["agents", "defaults", "models", "wait_seconds"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("agnets", "agents"),
        ("MODELS", "models"),
        ("default", "defaults"),
        ("wait", "wait_seconds"),
        ("zzz", None),
    ],
)
def test_the_most_similar_known_name_is_found(name: str, meant: str | None) -> None:
    assert nearest(name, KEYS) == meant


def test_where_nothing_is_similar_all_are_named() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "known: `a`, `b`"
    assert did_you_mean("zzz", []) == "there are none"


@pytest.mark.parametrize(
    ("left", "right", "letters"),
    [("", "abc", 3), ("store", "store", 0), ("store", "stroe", 2), ("a", "b", 1)],
)
def test_distance_counts_letters(left: str, right: str, letters: int) -> None:
    assert distance(left, right) == letters
    assert distance(right, left) == letters
