"""What a request over HTTP must pass before it is looked at: Host and Origin, and its principal's share of requests.

ASGI middleware. Knows no MCP beyond the form of an error.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_mcp.server.principals import principal_of_user
from agent_mcp.sessions.ports import Clock

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_NAME = re.compile(r"([^\s:/@\[\]]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_ORIGIN = re.compile(rf"null|[A-Za-z][A-Za-z0-9+.-]*://{_NAME.pattern}")
_MOST_BUCKETS = 10_000
"""Full ones are forgotten from here on."""
_SERVER_ERROR = -32000
"""The first of the codes that JSON-RPC leaves to implementations."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address that we listen on."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def allowed_names(bound: str, *, hosts: Sequence[str], origins: Sequence[str]) -> TransportSecuritySettings:
    """Host and Origin headers that are taken by a server bound to `bound`, with those that the config names.

    A host without a port is meant with any. Names of this machine are taken on loopback alone; a page whose name was
    made to point here (DNS rebinding) has another. All are in lower case: names of hosts have none (RFC 9110 §4.2.3).
    """
    own = _LOOPBACK_NAMES if is_loopback(bound) else [f"[{bound}]" if ":" in bound else bound]
    names = [name.lower() for name in (*own, *hosts)]
    loopback_origins = [f"http://{name}" for name in _LOOPBACK_NAMES] if is_loopback(bound) else []
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[form for name in names for form in (name, f"{name}:*")],
        allowed_origins=[
            *loopback_origins,
            *(f"{origin}:*" for origin in loopback_origins),
            *map(str.lower, origins),
        ],
    )


class HostGuard:
    """Answers 421 to a foreign Host and 403 to a foreign Origin, before anything else is done for the request."""

    def __init__(self, app: ASGIApp, allowed: TransportSecuritySettings) -> None:
        self._app = app
        self._check = TransportSecurityMiddleware(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            request = Request(_in_lower_case(scope))
            refusal = _malformed(request) or await self._check.validate_request(request)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _in_lower_case(scope: Scope) -> Scope:
    """The request with its Host and Origin in lower case, as the allowed ones are."""
    named = (b"host", b"origin")
    headers = [(name, value.lower() if name in named else value) for name, value in scope["headers"]]
    return {**scope, "headers": headers}


def _malformed(request: Request) -> Response | None:
    """A refusal of names whose port is none: the SDK takes whatever follows `localhost:` for one."""
    if not _NAME.fullmatch(request.headers.get("host", "")):
        return Response("Invalid Host header", status_code=421)
    if not _ORIGIN.fullmatch(request.headers.get("origin", "null")):
        return Response("Invalid Origin header", status_code=403)
    return None


class ScopeChallenge:
    """Names the scopes that a token must have where one is asked for, so that clients ask their issuer for no others.

    RFC 6750 §3, and "Scope Selection Strategy" of the MCP specification; the SDK's own challenge leaves them out.
    """

    def __init__(self, app: ASGIApp, scopes: Sequence[str]) -> None:
        self._app = app
        self._scopes = " ".join(scopes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                if challenge := headers.get("www-authenticate"):
                    headers["www-authenticate"] = f'{challenge}, scope="{self._scopes}"'
                    message = {**message, "headers": headers.raw}
            await send(message)

        await self._app(scope, receive, send_named if self._scopes else send)


class RequestLimit:
    """Answers 429 with Retry-After to a principal that sends more than its requests per minute.

    A token bucket for each: a minute's worth may come at once, and what was used comes back evenly.
    """

    def __init__(self, app: ASGIApp, per_minute: int, clock: Clock) -> None:
        self._app = app
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """By principal: requests left, and when that was so."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        wait_seconds = self._take(principal_of_user(scope.get("user")))
        if wait_seconds:
            await too_many_requests(self._per_minute, wait_seconds)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _take(self, principal: str) -> float:
        """0 if the request may come, else the seconds until the next one may."""
        left = self._left(principal)
        if left < 1:
            return (1 - left) * 60 / self._per_minute
        if len(self._buckets) >= _MOST_BUCKETS:
            self._forget_full_ones()
        self._buckets[principal] = left - 1, self._clock.monotonic()
        return 0

    def _left(self, principal: str) -> float:
        now = self._clock.monotonic()
        left, at = self._buckets.get(principal, (self._per_minute, now))
        return min(self._per_minute, left + (now - at) * self._per_minute / 60)

    def _forget_full_ones(self) -> None:
        self._buckets = {
            principal: bucket
            for principal, bucket in self._buckets.items()
            if self._left(principal) < self._per_minute
        }


def too_many_requests(per_minute: int, wait_seconds: float) -> Response:
    """The refusal, with whole seconds to wait."""
    seconds = math.ceil(wait_seconds)
    message = f"More than {per_minute} requests in a minute: try again in {seconds} s."
    return json_rpc_error(429, message, headers={"Retry-After": str(seconds)})


def json_rpc_error(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as an MCP client can read it: a JSON-RPC error without an id."""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": _SERVER_ERROR, "message": message}}
    return Response(json.dumps(error), status, headers, media_type="application/json")
