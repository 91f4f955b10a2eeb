"""Rows of measurements and the table they make."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

_SIDES = "<>><>><"
"""How each column is aligned."""

Compare = Literal["ratio at most", "ratio at least", "at most", "none"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a row must reach: a bound on ours / bare, or on ours alone."""

    compare: Compare = "none"
    bound: float = 0.0

    def __str__(self) -> str:
        sign = "≥" if self.compare == "ratio at least" else "≤"
        match self.compare:
            case "none":
                return "-"
            case "at most":
                return f"{sign} {self.bound:g}"
            case _:
                return f"{sign} {self.bound:g} x"


@dataclass(slots=True)
class Row:
    """One line: what was measured of ours and of the bare program, value by value."""

    name: str
    unit: str
    target: Target = field(default_factory=Target)
    ours: list[float] = field(default_factory=list[float])
    bare: list[float] = field(default_factory=list[float])

    @property
    def ratio(self) -> float | None:
        """Of the medians."""
        return median(self.ours) / median(self.bare) if self.bare and median(self.bare) else None

    @property
    def verdict(self) -> str:
        """`ok`, `MISS`, or nothing where nothing is asked."""
        match self.target.compare:
            case "none":
                return ""
            case "at most":
                reached = median(self.ours) <= self.target.bound
            case "ratio at most":
                reached = self.ratio is not None and self.ratio <= self.target.bound
            case "ratio at least":
                reached = self.ratio is not None and self.ratio >= self.target.bound
        return "ok" if reached else "MISS"


def render(rows: Sequence[Row]) -> str:
    """The table as text, in columns: names and units to the left, numbers to the right."""
    head = ("", "ours", "bare", "unit", "ratio", "target", "")
    lines = [head, *(_cells(row) for row in rows if row.ours)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(_aligned(line, widths).rstrip() for line in lines)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = zip(cells, widths, _SIDES, strict=True)
    return "  ".join(f"{cell:{side}{width}}" for cell, width, side in padded)


def _cells(row: Row) -> tuple[str, ...]:
    bare = _number(median(row.bare)) if row.bare else "-"
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    return row.name, _number(median(row.ours)), bare, row.unit, ratio, str(row.target), row.verdict


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
