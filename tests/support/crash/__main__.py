"""`python -m tests.support.crash`: kill the turn at every write under every policy, and print the matrix.

With `--store postgresql` over a PostgreSQL of its own, where its programs are installed; `--step N` takes every N-th
write. Exit status 1 if anything was lost, doubled or repeated.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.crash.matrix import Table, points, verdicts
from tests.support.crash.turn import POLICIES


def main() -> int:
    """0 if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.crash", description=__doc__)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--step", type=int, default=1, help="every how many writes to kill (default: 1)")
    parser.add_argument("--policy", choices=POLICIES, action="append", help="default: all")
    options = parser.parse_args()
    table, faults, started = Table(), list[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, _addresses(options.store) as address:
        for policy in options.policy or POLICIES:
            for verdict in verdicts(Path(folder), policy, points(step=options.step), store_url=address):
                table.add(options.store, policy, verdict)
                faults += [f"{policy}, {verdict.boundary}: {fault}" for fault in verdict.faults]
    print(table.render())
    print("\n".join(faults) or f"nothing wrong, {time.monotonic() - started:.0f} s")
    return 1 if faults else 0


@contextmanager
def _addresses(store: str) -> Generator[Callable[[str], str | None]]:
    """What gives each case an empty store of its own; None is a file."""
    if store == "sqlite":
        yield lambda _: None
        return
    from tests.support.postgres import open_cluster  # not installed everywhere

    with open_cluster() as cluster:
        yield lambda _: cluster.url(cluster.create())


if __name__ == "__main__":
    sys.exit(main())
