"""What is done once an answer was sent."""

import anyio
import anyio.lowlevel
import pytest

from agent_mcp.errors import StoreError
from agent_mcp.server.receipts import Receipt

pytestmark = pytest.mark.anyio


async def test_each_deed_is_done_once_whatever_becomes_of_the_others_and_of_the_task() -> None:
    done: list[int] = []
    receipt = Receipt()

    async def deed(number: int, failure: Exception | None = None) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(number)
        if failure is not None:
            raise failure

    receipt.then(lambda: deed(1, StoreError("the disk is full")))
    receipt.then(lambda: deed(2, IndexError()))
    receipt.then(lambda: deed(3))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await receipt.sent()
        await receipt.sent()
    assert done == [1, 2, 3]


async def test_of_a_request_that_was_cancelled_nothing_follows() -> None:
    done: list[int] = []
    receipt = Receipt()

    async def deed() -> None:
        done.append(1)

    receipt.then(deed)
    receipt.void()
    await receipt.sent()
    assert done == []
