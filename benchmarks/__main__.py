"""`python -m benchmarks`: measure everything in one run and print the table. See README.md."""

import argparse
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio

from benchmarks.http import measure_http
from benchmarks.load import measure_load, measure_memory
from benchmarks.parts import measure_log, measure_share
from benchmarks.postgres import measure_postgres
from benchmarks.programs import Bench, open_bench
from benchmarks.scale import measure_scale
from benchmarks.siblings import measure_siblings
from benchmarks.table import Row, render
from benchmarks.turns import measure_follow_up, measure_many_tools, measure_start, measure_steps

_ROWS: dict[str, Callable[[Bench, int], Awaitable[Sequence[Row]]]] = {
    "start": measure_start,
    "steps": measure_steps,
    "follow-up": measure_follow_up,
    "share": measure_share,
    "tools": measure_many_tools,
    "load": measure_load,
    "http": measure_http,
    "memory": measure_memory,
    "log": measure_log,
    "siblings": measure_siblings,
    "postgres": measure_postgres,
    "scale": measure_scale,
}


async def _measure(names: Sequence[str], rounds: int) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        async with open_bench(Path(directory)) as bench:
            for name in names:
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                rows += await _ROWS[name](bench, rounds)
    return rows


def main() -> int:
    """0 if every row reaches its target, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure agent-mcp beside a bare loop."
    )
    parser.add_argument(
        "rows", nargs="*", choices=[[], *_ROWS], help=f"what to measure, of: {', '.join(_ROWS)}"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="how often each is measured, in turns (default: 7)"
    )
    options = parser.parse_args()
    rows = anyio.run(_measure, options.rows or list(_ROWS), options.rounds)
    print(render(rows))
    return 1 if any(row.verdict == "MISS" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
