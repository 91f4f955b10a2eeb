"""`/metrics`: there only if the config asks for it, and behind the same guards as `/mcp`."""

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from agent_mcp.server.looking import MetricsPage

pytestmark = pytest.mark.anyio


def page() -> tuple[bytes, str]:
    """Two figures."""
    return b"a 1\nb 2\n", "text/plain; version=1.0.0"


async def ask(method: str) -> httpx2.Response:
    """The answer of the page alone."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await MetricsPage(page)(scope, receive, send)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://t") as client:
        return await client.request(method, "/metrics")


async def test_the_figures_are_given_as_they_are() -> None:
    answer = await ask("GET")
    assert (answer.status_code, answer.text) == (200, "a 1\nb 2\n")
    assert answer.headers["content-type"] == "text/plain; version=1.0.0"


async def test_only_reading_is_allowed() -> None:
    answer = await ask("POST")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
