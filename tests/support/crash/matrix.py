"""Every point of the crash matrix, and the matrix as a table: boundary by outcome."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.crash.mortal import Point
from tests.support.crash.turn import Case, Policy, live
from tests.support.crash.verdict import Verdict, judge

WRITES = 76
"""How many writes the turn takes from the host's first call to the delivery of its answer."""


def points(*, first: int = 1, step: int = 1) -> Iterator[Point]:
    """Every `step`-th write from `first` on, each before it is begun and after it is stored."""
    for write in range(first, WRITES + 1, step):
        yield Point(write, "before")
        yield Point(write, "after")


def verdicts(
    folder: Path,
    policy: Policy,
    chosen: Iterable[Point],
    *,
    store_url: Callable[[str], str | None] = lambda _: None,
) -> Iterator[Verdict]:
    """Kill and judge at each point. `store_url` gives an empty store for each name, default a file in `folder`.

    Raises:
        RuntimeError: the turn had no such write.
    """
    for point in chosen:
        name = f"{policy}-{point.write}-{point.moment}"
        story = live(Case(folder / name, policy, store_url(name)), point)
        if story is None:
            raise RuntimeError(f"{name}: the turn was over before")
        yield judge(story, policy)


@dataclass(slots=True)
class Line:
    """A line of the table: all kills at one boundary under one policy."""

    kills: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    lost: int = 0
    duplicated: int = 0
    repeated: int = 0
    different: int = 0

    def add(self, verdict: Verdict) -> None:
        """One more kill."""
        self.kills += 1
        self.outcomes.update(verdict.in_flight)
        self.lost += len(verdict.lost)
        self.duplicated += len(verdict.duplicated)
        self.repeated += len(verdict.repeated)
        self.different += len(verdict.different)


class Table:
    """The matrix."""

    def __init__(self) -> None:
        self._lines: defaultdict[tuple[str, str], Line] = defaultdict(Line)

    def add(self, store: str, policy: Policy, verdict: Verdict) -> None:
        """One more kill."""
        self._lines[(f"{store}, {policy}", verdict.boundary)].add(verdict)

    def render(self) -> str:
        """As Markdown."""
        head = "| store, policy | killed | times | calls in flight | lost | duplicate | silently repeated | else |"
        rule = "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |"
        return "\n".join(
            [head, rule, *(_row(*key, line) for key, line in self._lines.items()), self._total()]
        )

    def _total(self) -> str:
        total = Line()
        for line in self._lines.values():
            total.kills += line.kills
            total.lost += line.lost
            total.duplicated += line.duplicated
            total.repeated += line.repeated
            total.different += line.different
        return _row("all", "", total)


def _row(policy: str, boundary: str, line: Line) -> str:
    outcomes = "; ".join(f"{what} ({times})" for what, times in sorted(line.outcomes.items())) or "none"
    figures = (line.lost, line.duplicated, line.repeated, line.different)
    cells = (policy, boundary, line.kills, outcomes if boundary else "", *figures)
    return f"| {' | '.join(str(cell) for cell in cells)} |"
