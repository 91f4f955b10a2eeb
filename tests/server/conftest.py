"""A server over HTTP that a whole module may share; what a test does to it must not change it for the next."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.host import Home
from tests.support.http import Served, open_http


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """As everywhere, but for as long as the shared server lives."""
    return "asyncio"


@pytest.fixture(scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Served]:
    """A server with no settings."""
    async with open_http(Home(tmp_path_factory.mktemp("http"))) as served:
        yield served
