"""Servers behind HTTP: streamable HTTP and the older SSE, over the SDK's transports.

The SDK takes a refused connection for the end of everything and shows an HTTP status as "an error response". Our HTTP
client puts it plainly instead: it answers in the server's place with a JSON-RPC error that says what happened and
whether the request can have arrived, so that the caller knows what may be sent again.
"""

import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from agent_mcp.config.blot import Hide
from agent_mcp.config.linklocal import LinkLocalError
from agent_mcp.downstream.bearer import Bearer
from agent_mcp.downstream.bodies import read_whole
from agent_mcp.downstream.faults import (
    HTTP_STATUS,
    LOST,
    NEEDS_LOGIN,
    NOT_SENT,
    SESSION_GONE,
    TOO_LARGE,
    TooLargeError,
    UnavailableError,
    reason_of,
)
from agent_mcp.downstream.guarded import BearerClient
from agent_mcp.downstream.streams import StreamsWire
from agent_mcp.downstream.wire import MESSAGE_BYTES

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 30.0
_SSE_READ_SECONDS = 24 * 3600.0
"""An SSE stream is silent while nobody calls; our own timeouts bound each call."""
_SHOWN_BODY_CHARACTERS = 200
_MOST_BODY_CHARACTERS = 64 * 1024
_SESSION_HEADER = "mcp-session-id"


@asynccontextmanager
async def open_http(
    url: str,
    headers: Mapping[str, str],
    *,
    hide: Hide = str,
    allow_link_local: bool = False,
    bearer: Bearer | None = None,
) -> AsyncGenerator[StreamsWire]:
    """A connection by streamable HTTP, of either era. `hide` takes secrets out of what a refusal says."""
    timeout = httpx2.Timeout(_CONNECT_SECONDS, read=None)
    async with (
        PlainSpokenClient(
            headers=dict(headers),
            timeout=timeout,
            hide=hide,
            allow_link_local=allow_link_local,
            bearer=bearer,
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MESSAGE_BYTES) as (
            read,
            write,
        ),
    ):
        yield StreamsWire(read, write, takes_headers=True)


@asynccontextmanager
async def open_sse(
    url: str,
    headers: Mapping[str, str],
    *,
    hide: Hide = str,
    allow_link_local: bool = False,
    bearer: Bearer | None = None,
) -> AsyncGenerator[StreamsWire]:
    """A connection by the HTTP+SSE transport of protocol 2024-11-05."""

    def guarded(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return _BoundedClient(
            allow_link_local=allow_link_local, bearer=bearer, headers=headers, timeout=timeout, auth=auth
        )

    try:
        async with sse_client(
            url, headers=dict(headers), sse_read_timeout=_SSE_READ_SECONDS, httpx_client_factory=guarded
        ) as (read, write):
            yield StreamsWire(read, write)
    except LinkLocalError as error:
        raise UnavailableError(str(error)) from error
    except httpx2.HTTPStatusError as error:
        # Its own words hold the whole URL, and that may hold a key.
        raise UnavailableError(hide(_status_text(error.response))) from error


class _BoundedClient(BearerClient):
    """What the older transport needs: it reads all of every answer but that of its one stream."""

    async def send(self, request: httpx2.Request, *args: Any, **options: Any) -> httpx2.Response:
        response = await super().send(request, *args, **options)
        return response if _is_stream(response) else await read_whole(response, most_bytes=MESSAGE_BYTES)


class PlainSpokenClient(BearerClient):
    """An HTTP client that turns what befalls a JSON-RPC request into a JSON-RPC error."""

    def __init__(self, *, hide: Hide = str, **options: Any) -> None:
        super().__init__(**options)
        self._hide = hide

    async def send(self, request: httpx2.Request, *args: Any, **options: Any) -> httpx2.Response:
        """Send; a JSON-RPC request always gets an answer, everything else goes its usual way."""
        message = _message_of(request)
        if message is None:
            return await self._send(request, None, *args, **options)
        try:
            response = await self._send(request, message, *args, **options)
        except LinkLocalError as error:
            return _error_response(request, message, NOT_SENT, str(error))
        except TooLargeError as error:
            return _error_response(request, message, TOO_LARGE, str(error))
        except UnavailableError as error:
            return _error_response(request, message, NEEDS_LOGIN, self._hide(str(error)))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
            return _error_response(request, message, NOT_SENT, f"could not connect: {reason_of(error)}")
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            return _error_response(request, message, LOST, reason_of(error))
        if response.status_code < HTTPStatus.BAD_REQUEST or "id" not in message:
            return response
        return _plain_answer(request, message, response, self._hide)

    async def _send(
        self, request: httpx2.Request, message: dict[str, Any] | None, *args: Any, **options: Any
    ) -> httpx2.Response:
        response = await super().send(request, *args, **options)
        if _is_read_whole(message, response):
            return await read_whole(response, most_bytes=MESSAGE_BYTES)
        return response


def _is_stream(response: httpx2.Response) -> bool:
    is_events = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    return is_events and response.status_code < HTTPStatus.BAD_REQUEST


def _is_read_whole(message: dict[str, Any] | None, response: httpx2.Response) -> bool:
    """Whether the SDK, or we, would read the body to its end; some servers never end one that nobody reads."""
    if response.has_redirect_location or response.request.method == "DELETE":
        return True
    is_request = message is not None and "id" in message
    return is_request and response.status_code != HTTPStatus.ACCEPTED and not _is_stream(response)


def _message_of(request: httpx2.Request) -> dict[str, Any] | None:
    """The JSON-RPC message that a POST carries."""
    if request.method != "POST":
        return None
    try:
        message: Any = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None
    return cast("dict[str, Any]", message) if isinstance(message, dict) and "method" in message else None


def _plain_answer(
    request: httpx2.Request, message: dict[str, Any], response: httpx2.Response, hide: Hide
) -> httpx2.Response:
    """An HTTP error as a JSON-RPC error: the server's own if it sent one."""
    body = response.content.decode("utf-8", "replace")
    if _forgot_session(request, response, body):
        return _error_response(request, message, SESSION_GONE, "the server no longer knows this connection")
    if _is_rpc_error(body):
        return response
    text = _status_text(response)
    # Hidden before it is cut: of a secret that was cut through, the rest would no longer be known for one.
    shown = " ".join(hide(body[:_MOST_BODY_CHARACTERS]).split())[:_SHOWN_BODY_CHARACTERS]
    text += f": {shown}" if shown else ""
    return _error_response(request, message, HTTP_STATUS, text, data=response.status_code)


def _status_text(response: httpx2.Response) -> str:
    text = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"{text} (check the server's `headers`)"
    return text


def _forgot_session(request: httpx2.Request, response: httpx2.Response, body: str) -> bool:
    """Whether the server refuses our MCP session id, as after a restart: nothing was run.

    404 by the specification (2025-11-25, transports, session management); some servers say 400 and name the session.
    """
    if _SESSION_HEADER not in request.headers:
        return False
    if response.status_code == HTTPStatus.NOT_FOUND:
        return True
    return response.status_code == HTTPStatus.BAD_REQUEST and "session" in body.lower()


def _is_rpc_error(body: str) -> bool:
    try:
        value: Any = json.loads(body)
    except ValueError:
        return False
    match value:
        case {"jsonrpc": "2.0", "error": {"code": int(), "message": str()}}:
            return True
        case _:
            return False


def _error_response(
    request: httpx2.Request, message: dict[str, Any], code: int, text: str, *, data: object = None
) -> httpx2.Response:
    """The answer that stands in for the server's: an error for a request, "accepted" for a notification."""
    _log.debug("%s to %s: %s", message["method"], request.url.host, text)
    if "id" not in message:
        return httpx2.Response(HTTPStatus.ACCEPTED, request=request)
    error = {"code": code, "message": text, "data": data}
    return httpx2.Response(
        HTTPStatus.OK, json={"jsonrpc": "2.0", "id": message["id"], "error": error}, request=request
    )
