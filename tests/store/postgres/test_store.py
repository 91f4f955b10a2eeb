"""The PostgreSQL store keeps the contract of all stores."""

from collections.abc import AsyncGenerator

import pytest

from agent_mcp.sessions.ports import SessionStore
from agent_mcp.store.open import open_store as open_by_url
from tests.contracts.pins_contract import PinsContract
from tests.contracts.spending_contract import SpendingContract
from tests.contracts.store_contract import OpenStore, StoreContract
from tests.contracts.upkeep_contract import UpkeepContract
from tests.support.postgres import requires_postgres

pytestmark = pytest.mark.anyio


@pytest.fixture
def open_store(database_url: str) -> OpenStore:
    """Opens the test's database, again and again if need be."""
    return lambda: open_by_url(database_url)


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncGenerator[SessionStore]:
    """One that is open already."""
    async with open_store() as opened:
        yield opened


@requires_postgres
class TestPostgresStore(StoreContract, SpendingContract, UpkeepContract, PinsContract):
    """See the contracts."""
