"""One request of an OAuth flow, where what the server says decides whom we talk to.

The addresses come from documents of the server and of those that it names: nothing goes out in clear but to where the
server itself is spoken to in clear, and an answer is read only up to a size.
"""

from urllib.parse import urlsplit

import httpx2

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
    try:
        body = await _read(response)
    finally:
        await response.aclose()
    whole = httpx2.Response(
        response.status_code, headers=_without_coding(response.headers), content=body, request=request
    )
    whole.next_request = response.next_request
    return whole


def _refuse_clear_text(url: httpx2.URL, server_url: str) -> None:
    """By the MCP specification all of an authorization server is behind https; loopback is for trying things out."""
    if url.scheme == "https" or url.host in _LOOPBACK:
        return
    server = urlsplit(server_url)
    if (server.scheme, server.hostname) != (url.scheme, url.host):
        raise UnavailableError(f"its login leads to {url.scheme}://{url.host}, which is not https")


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise UnavailableError(
                f"{response.url.host} answers its login with more than {_MAX_ANSWER_BYTES} bytes"
            )
    return bytes(body)


def _without_coding(headers: httpx2.Headers) -> httpx2.Headers:
    """The body is decoded by now."""
    kept = [(name, value) for name, value in headers.multi_items() if name.lower() != "content-encoding"]
    return httpx2.Headers(kept)
