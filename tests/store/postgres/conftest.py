"""A database for each test: a new one, or the one that all share, emptied."""

from collections.abc import Generator

import pytest

from tests.support.postgres import Cluster


@pytest.fixture(scope="session")
def shared_database(cluster: Cluster) -> Generator[str]:
    """Its name."""
    with cluster.database() as name:
        yield name


@pytest.fixture
def database_url(cluster: Cluster, shared_database: str) -> str:
    """One with today's schema and nothing in it."""
    cluster.empty(shared_database)
    return cluster.url(shared_database)
