"""A store on disk for each test."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent_mcp.sessions.ports import SessionStore
from agent_mcp.store.connect import opening, prepare
from agent_mcp.store.open import open_store as open_by_url
from tests.contracts.store_contract import OpenStore


def make_database(path: Path) -> None:
    """An empty one of today's version, or an older one brought up to date."""
    with opening(path):
        prepare(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's database lies."""
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
def open_store(path: Path) -> OpenStore:
    """Opens the test's database, again and again if need be."""
    return lambda: open_by_url(f"sqlite:///{path}")


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncGenerator[SessionStore]:
    """One that is open already."""
    async with open_store() as opened:
        yield opened
