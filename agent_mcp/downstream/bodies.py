"""An answer over HTTP, read whole, but only up to a size. Knows neither what it is for nor what it says."""

import httpx2

from agent_mcp.downstream.faults import TooLargeError


async def read_whole(response: httpx2.Response, *, most_bytes: int) -> httpx2.Response:
    """The response with its body, decoded; the one that was given is closed.

    Counted is what comes out of the decoder, which gives at most a MiB at once: a little that unpacks to very much is
    given up as soon as the much is there.

    Raises:
        TooLargeError: the body is longer than `most_bytes`.
        httpx2.TransportError: it did not come to its end.
        httpx2.DecodingError: it is not encoded as it says.
    """
    try:
        body = await _read(response, most_bytes)
    finally:
        await response.aclose()
    whole = httpx2.Response(
        response.status_code,
        headers=_without_coding(response.headers),
        content=body,
        request=response.request,
        extensions=response.extensions,
    )
    whole.next_request = response.next_request
    return whole


async def _read(response: httpx2.Response, most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most_bytes:
            raise TooLargeError(f"{response.url.host} answers with more than {most_bytes} bytes")
    return bytes(body)


def _without_coding(headers: httpx2.Headers) -> httpx2.Headers:
    """The body is decoded by now."""
    kept = [(name, value) for name, value in headers.multi_items() if name.lower() != "content-encoding"]
    return httpx2.Headers(kept)
