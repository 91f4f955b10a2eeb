"""`python -m tests.support.crash`: kill the turn at every write under every policy, and print the matrix.

With `--store URL` over another database than SQLite (the URL of an empty store, with `{name}` where each case's own
name goes); `--step N` takes every N-th write. Exit status 1 if anything was lost, doubled or repeated.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support.crash.matrix import Table, points, verdicts
from tests.support.crash.turn import POLICIES


def main() -> int:
    """0 if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.crash", description=__doc__)
    parser.add_argument("--store", help="an address with {name} in it; default: a SQLite file for each case")
    parser.add_argument("--step", type=int, default=1, help="every how many writes to kill (default: 1)")
    parser.add_argument("--policy", choices=POLICIES, action="append", help="default: all")
    options = parser.parse_args()
    table, faults, started = Table(), list[str](), time.monotonic()
    kind = options.store.partition(":")[0] if options.store else "sqlite"

    def address(name: str) -> str | None:
        return options.store and options.store.replace("{name}", name.replace("-", "_"))

    with tempfile.TemporaryDirectory() as folder:
        for policy in options.policy or POLICIES:
            for verdict in verdicts(Path(folder), policy, points(step=options.step), store_url=address):
                table.add(kind, policy, verdict)
                faults += [f"{policy}, {verdict.boundary}: {fault}" for fault in verdict.faults]
    print(table.render())
    print("\n".join(faults) or f"nothing wrong, {time.monotonic() - started:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
