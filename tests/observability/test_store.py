"""A watched store is the same store, but for what is counted."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent_mcp.observability.store import watched
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.store.open import open_store as open_by_url
from tests.contracts.store_contract import Log, Messages, OpenStore, Turns
from tests.observability.conftest import Seen

pytestmark = pytest.mark.anyio


@pytest.fixture
def open_store(seen: Seen, tmp_path: Path) -> OpenStore:
    """Opens the test's database, and looks at it."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[SessionStore]:
        async with open_by_url(f"sqlite:///{tmp_path}/s.db") as store:
            yield watched(store, seen.instruments)

    return opened


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncGenerator[SessionStore]:
    """One that is open already."""
    async with open_store() as opened:
        yield opened


class TestWatchedStore(Log, Messages, Turns):
    """What it must do as every store."""
