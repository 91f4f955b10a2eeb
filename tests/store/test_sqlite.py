"""The SQLite store keeps the contract of all stores."""

import pytest

from tests.contracts.store_contract import StoreContract

pytestmark = pytest.mark.anyio


class TestSqliteStore(StoreContract):
    """See `StoreContract`."""
