"""A throw-away PostgreSQL for tests: a cluster of its own on a free port, run by a user without rights.

The cluster is made once by a process that tests run in; each test gets a database of its own, copied from one that has
the schema. Without PostgreSQL's programs these tests are skipped, by name.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import anyio
import psycopg
import pytest

from agent_mcp.cli.db import upgrade_database

Test = TypeVar("Test", bound=Callable[..., object])

_NOBODY = ("postgres", "nobody")
_SETTINGS = {
    # A killed server finds all its writes in the system's memory again. Only a loss of power would need more.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "listen_addresses": "*",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


def _programs() -> Path | None:
    """Where `initdb` is: on the path, or where Debian puts it, of the newest version."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[4]))
    return places[-1].parent if places else None


PROGRAMS = _programs()


def requires_postgres(test: Test) -> Test:
    """Skip a test, or all of a class, where there is no PostgreSQL."""
    return pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL (initdb) is not installed")(test)


@dataclass(frozen=True)
class Cluster:
    """A running server."""

    folder: Path
    port: int

    def url(self, database: str, *, port: int | None = None, host: str = "127.0.0.1") -> str:
        """Of one of its databases."""
        return f"postgresql://tester@{host}:{port or self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def control(self, action: Literal["start", "stop", "restart"], *options: str) -> None:
        """`pg_ctl`; returns when it is done."""
        assert PROGRAMS is not None
        log = self.folder / "log"
        _as_nobody(
            [PROGRAMS / "pg_ctl", action, "-w", "-s", "-D", self.folder / "data", "-l", log, *options],
            self.folder,
        )

    def crash(self) -> None:
        """End it as a loss of power would, and start it again."""
        self.control("restart", "-m", "immediate")

    def empty(self, database: str) -> None:
        """Remove all rows; quicker than a new database."""
        tables = ("sessions", "turns", "events", "owners", "blobs", "blob_refs", "spending", "tool_pins")
        deletes = [f"DELETE FROM agent_mcp.{table};" for table in tables]
        self.execute(
            f"{''.join(deletes)} DELETE FROM procrastinate_jobs; DELETE FROM procrastinate_workers", database
        )

    def create(self, template: str = "template_upgraded") -> str:
        """A new database, with today's schema or as another one is; its name. It goes with the cluster."""
        name = f"test_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


def _numbers() -> Generator[int]:
    number = 0
    while True:
        yield (number := number + 1)


_NUMBERS = _numbers()


@contextmanager
def open_cluster() -> Generator[Cluster]:
    """Make a cluster and start it; nothing is left of it at the end."""
    assert PROGRAMS is not None
    folder = Path(tempfile.mkdtemp(prefix="agent-mcp-postgres-"))
    shutil.chown(folder, *_ids())
    data = folder / "data"
    try:
        as_tester = ["-U", "tester", "--auth", "trust", "-E", "UTF8", "--locale", "C"]
        _as_nobody([PROGRAMS / "initdb", "-D", data, *as_tester, "--no-sync", "--no-instructions"], folder)
        port = _free_port()
        lines = [f"{name} = '{value}'" for name, value in _SETTINGS.items()]
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("\n".join([*lines, f"port = {port}", f"unix_socket_directories = '{folder}'", ""]))
        rules = (data / "pg_hba.conf").read_text()
        first, last = "host all locked all scram-sha-256", "host all all 10.213.0.0/16 trust"
        # Whoever is `locked` needs a password; the network is that of `tests.support.network`.
        (data / "pg_hba.conf").write_text(f"{first}\n{rules}\n{last}\n")
        cluster = Cluster(folder, port)
        cluster.control("start")
        try:
            cluster.execute("CREATE DATABASE template_upgraded")
            anyio.run(upgrade_database, cluster.url("template_upgraded"))
            yield cluster
        finally:
            _kill(data)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kill(data: Path) -> None:
    """Nobody needs what is in it any more."""
    pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _ids() -> tuple[int, int]:
    """PostgreSQL refuses to run as root; then it runs as somebody without rights."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = next(users[name] for name in _NOBODY if name in users)
    return user.pw_uid, user.pw_gid


def _as_nobody(command: Sequence[str | Path], folder: Path) -> None:
    uid, gid = _ids()
    root = os.geteuid() == 0
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
        user=uid if root else None,
        group=gid if root else None,
        extra_groups=[] if root else None,
    )
    assert done.returncode == 0, done.stderr or done.stdout
