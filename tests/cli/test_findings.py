"""How the doctor's findings are printed."""

import json

from agent_mcp.cli.findings import Finding, as_json, as_text, has_failed

GOOD = Finding("OK", "store", "is there", details=("a", "b"))
BAD = Finding("FAIL", "server x", "is down", "start it")


def test_text_has_a_line_for_each_its_details_and_its_fix() -> None:
    assert as_text([GOOD, BAD]).splitlines() == [
        "OK    store: is there",
        "        a",
        "        b",
        "FAIL  server x: is down",
        "      fix: start it",
    ]


def test_json_says_whether_all_is_well() -> None:
    assert json.loads(as_json([GOOD]))["ok"] is True
    assert json.loads(as_json([GOOD, BAD]))["ok"] is False


def test_only_failures_fail() -> None:
    assert not has_failed([GOOD, Finding("WARN", "x", "y")])
    assert has_failed([BAD])
