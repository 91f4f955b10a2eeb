"""Every point of the crash matrix, and the matrix as a table: boundary by outcome."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
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

    @property
    def in_words(self) -> str:
        """What became of the calls in flight, and how often."""
        return "; ".join(f"{what} ({times})" for what, times in sorted(self.outcomes.items())) or "none"

    def add(self, verdict: Verdict) -> None:
        """One more kill."""
        self.kills += 1
        self.outcomes.update(verdict.in_flight)
        self.lost += len(verdict.lost)
        self.duplicated += len(verdict.duplicated)
        self.repeated += len(verdict.repeated)
        self.different += len(verdict.different)


class Table:
    """The matrix: a row for each boundary, a column for each policy with what became of calls in flight; faults."""

    def __init__(self) -> None:
        self.lines: defaultdict[str, defaultdict[str, Line]] = defaultdict(lambda: defaultdict(Line))
        """By boundary, then by store and policy."""

    def add(self, store: str, policy: Policy, verdict: Verdict) -> None:
        """One more kill."""
        self.lines[verdict.boundary][f"{store}, {policy}"].add(verdict)

    def render(self) -> str:
        """As Markdown."""
        columns = list(dict.fromkeys(column for row in self.lines.values() for column in row))
        head = ["killed", "times", *columns, "lost", "duplicate", "silently repeated", "else"]
        rule = ["---", "---:", *("---" for _ in columns), "---:", "---:", "---:", "---:"]
        rows = [
            [boundary, *_cells(list(row.values()), [row[column].in_words for column in columns])]
            for boundary, row in self.lines.items()
        ]
        every = [line for row in self.lines.values() for line in row.values()]
        total = ["all", *_cells(every, ["" for _ in columns])]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows, total))


def _cells(lines: Sequence[Line], outcomes: Sequence[str]) -> list[str]:
    """A row but for its name."""
    faults = [
        sum(figures)
        for figures in zip(*((e.lost, e.duplicated, e.repeated, e.different) for e in lines), strict=True)
    ]
    return [str(sum(line.kills for line in lines)), *outcomes, *(str(number) for number in faults)]
