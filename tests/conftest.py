"""What every test may use, and the rule that CI skips nothing."""

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.postgres import Cluster

SKIP_NOTHING = os.environ.get("AGENT_MCP_TESTS_SKIP_NOTHING") == "1"


@pytest.fixture
def anyio_backend() -> str:
    """The one event loop that we run on."""
    return "asyncio"


@pytest.fixture(scope="session")
def cluster() -> "Generator[Cluster]":
    """A PostgreSQL server, for all tests of this process."""
    from tests.support.postgres import open_cluster  # its driver takes a while to import

    with open_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def shared_database(cluster: "Cluster") -> str:
    """A database with today's schema, for tests that need none of their own; its name."""
    return cluster.create()


@pytest.fixture
def database_url(cluster: "Cluster", shared_database: str) -> str:
    """The shared one, with nothing in it."""
    cluster.empty(shared_database)
    return cluster.url(shared_database)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything is installed, a test that skips itself has found something missing."""
    report = yield
    if SKIP_NOTHING and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report
