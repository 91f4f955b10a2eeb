"""One request of an OAuth flow, where what the server says decides whom we talk to.

The addresses come from documents of the server and of those that it names: nothing goes out in clear but to where the
server itself is spoken to in clear, and an answer is read only up to a size.
"""

from urllib.parse import urlsplit

import httpx2

from agent_mcp.downstream.bodies import read_whole
from agent_mcp.downstream.faults import UnavailableError

_MAX_ANSWER_BYTES = 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


async def send(client: httpx2.AsyncClient, request: httpx2.Request, *, server_url: str) -> httpx2.Response:
    """Send, and read the whole answer.

    Raises:
        UnavailableError: it would go over the network in clear, or the answer is too large.
        httpx2.TransportError: it did not come through.
    """
    _refuse_clear_text(request.url, server_url)
    response = await client.send(request, stream=True)
    return await read_whole(response, most_bytes=_MAX_ANSWER_BYTES)


def _refuse_clear_text(url: httpx2.URL, server_url: str) -> None:
    """By the MCP specification all of an authorization server is behind https; loopback is for trying things out."""
    if url.scheme == "https" or url.host in _LOOPBACK:
        return
    server = urlsplit(server_url)
    if (server.scheme, server.hostname) != (url.scheme, url.host):
        raise UnavailableError(f"its login leads to {url.scheme}://{url.host}, which is not https")
