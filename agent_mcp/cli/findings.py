"""What `doctor` found, and how it is printed. Knows nothing of what is checked."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    subject: str
    """What was checked: `config`, `server docs`, …"""
    message: str
    fix: str = ""
    details: tuple[str, ...] = ()
    """Further lines, for those who want to know."""


def as_text(findings: Sequence[Finding]) -> str:
    """For people."""
    return "\n".join(line for finding in findings for line in _lines(finding))


def as_json(findings: Sequence[Finding]) -> str:
    """For programs: `{"ok": …, "findings": […]}`."""
    content = {"ok": not has_failed(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(content, ensure_ascii=False, indent=2)


def has_failed(findings: Sequence[Finding]) -> bool:
    """Whether anything does not work."""
    return any(finding.level == "FAIL" for finding in findings)


def _lines(finding: Finding) -> list[str]:
    lines = [f"{finding.level:<5} {finding.subject}: {finding.message}"]
    lines += [f"        {detail}" for detail in finding.details]
    if finding.fix:
        lines.append(f"      fix: {finding.fix}")
    return lines
