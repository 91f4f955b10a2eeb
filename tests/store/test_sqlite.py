"""The SQLite store keeps the contract of all stores."""

import pytest

from tests.contracts.spending_contract import SpendingContract
from tests.contracts.store_contract import StoreContract
from tests.contracts.upkeep_contract import UpkeepContract

pytestmark = pytest.mark.anyio


class TestSqliteStore(StoreContract, SpendingContract, UpkeepContract):
    """See `StoreContract` and `UpkeepContract`."""
