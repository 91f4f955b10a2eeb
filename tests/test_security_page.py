"""Every test that docs/security.md names exists, so that no promise there stands without one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_named_test_exists() -> None:
    named = NAMED.findall((ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    assert len(named) > 40
    gone = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).exists() or f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert gone == []


def test_every_promise_names_one() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    tables = page[page.index("## Secrets") : page.index("## What is not promised")]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    promises = [row for row in rows if "held by" not in row]
    assert [row for row in promises if not NAMED.search(row)] == []
