"""`${VAR}` in server entries."""

from typing import Any

import pytest

from agent_mcp.config.expand import Unset, expand, unset

ENVIRON = {"HOST": "h", "EMPTY": ""}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${HOST}", "h"),
        ("a-${HOST}-${HOST}", "a-h-h"),
        ("${env:HOST}", "h"),
        ("${PORT:-80}", "80"),
        ("${HOST:-other}", "h"),
        ("${PORT:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-full}", "full"),
        ("${URL:-http://x:1/}", "http://x:1/"),
        ("$${HOST}", "$h"),
        ("$HOST", "$HOST"),
        ("${}", "${}"),
        ("${input:token}", "${input:token}"),
        ("${1X}", "${1X}"),
        ("${PORT:-${HOST}}", "h"),
        ("${HOST:-${PORT}}", "h"),
        ("${PORT:-${OTHER:-x${EMPTY:-y}}}/z", "xy/z"),
        ("${PORT:-{}}", "{}"),
        ("${PORT:-80", "${PORT:-80"),
    ],
)
def test_a_reference_becomes_its_value_and_other_text_stays(written: str, meant: str) -> None:
    assert expand(written, ENVIRON) == meant
    assert list(unset(written, ENVIRON)) == []


def test_strings_are_expanded_at_every_depth_and_nothing_else_is_touched() -> None:
    data: dict[str, Any] = {"args": ["${HOST}", 1], "env": {"${HOST}": "${HOST}"}, "on": True, "none": None}
    assert expand(data, ENVIRON) == {"args": ["h", 1], "env": {"${HOST}": "h"}, "on": True, "none": None}


def test_a_value_is_not_expanded_again() -> None:
    assert expand("${A}", {"A": "${B}", "B": "x"}) == "${B}"


def test_every_unset_variable_is_told_with_its_key() -> None:
    data = {"args": ["x", "${ONE}"], "env": {"K": "${TWO}${ONE}"}, "cwd": "${HOST}"}
    assert list(unset(data, ENVIRON)) == [
        Unset("args.1", "ONE"),
        Unset("env.K", "TWO"),
        Unset("env.K", "ONE"),
    ]


def test_a_variable_within_a_default_is_missed_only_where_the_default_counts() -> None:
    assert list(unset(["${HOST:-${ONE}}", "${TWO:-${ONE}}"], ENVIRON)) == [Unset("1", "ONE")]
