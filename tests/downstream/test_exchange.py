"""Requests of an OAuth flow: never in clear over the network, never without an end."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from agent_mcp.downstream.exchange import send
from agent_mcp.downstream.faults import UnavailableError

pytestmark = pytest.mark.anyio

SERVER = "https://docs.example.org/mcp"


async def answer_of(url: str, response: httpx2.Response, server_url: str = SERVER) -> httpx2.Response:
    """What comes back from a server that answers so."""
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: response)) as client:
        return await send(client, httpx2.Request("GET", url), server_url=server_url)


@pytest.mark.parametrize(
    ("url", "server_url"),
    [
        ("https://login.example.org/x", SERVER),
        ("http://127.0.0.1:1/x", SERVER),
        ("http://[::1]/x", SERVER),
        ("http://intranet/x", "http://intranet/mcp"),
    ],
)
async def test_https_and_what_was_spoken_to_in_clear_anyway_is_asked(url: str, server_url: str) -> None:
    response = await answer_of(url, httpx2.Response(200, json={"é": 1}), server_url)
    assert response.json() == {"é": 1}


@pytest.mark.parametrize("url", ["http://docs.example.org/x", "http://127.0.0.1.example.org/x"])
async def test_nothing_goes_out_in_clear(url: str) -> None:
    with pytest.raises(UnavailableError, match="not https"):
        await answer_of(url, httpx2.Response(200))


async def test_an_answer_without_an_end_is_cut_off() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000

    with pytest.raises(UnavailableError, match="more than 1048576 bytes"):
        await answer_of("https://login.example.org/x", httpx2.Response(200, content=endless()))


async def test_a_redirect_can_still_be_followed() -> None:
    moved = httpx2.Response(307, headers={"Location": "/y"})
    response = await answer_of("https://login.example.org/x", moved)
    assert response.next_request is not None
    assert response.next_request.url == "https://login.example.org/y"
