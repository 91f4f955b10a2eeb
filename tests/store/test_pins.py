"""The SQLite store keeps the contract of pins."""

import pytest

from tests.contracts.pins_contract import PinsContract

pytestmark = pytest.mark.anyio


class TestSqlitePins(PinsContract):
    """See `PinsContract`."""
