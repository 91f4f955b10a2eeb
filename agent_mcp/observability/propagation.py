"""W3C trace context across what we cross: a call's `_meta` or HTTP header, the log, and a downstream call's `_meta`.

Only `traceparent` and `tracestate` (https://www.w3.org/TR/trace-context/): baggage may hold anything, and a host's is
no business of the servers that an agent calls.
"""

from collections.abc import Mapping
from contextvars import Token

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

_FIELDS = ("traceparent", "tracestate")
_PROPAGATOR = TraceContextTextMapPropagator()


def current() -> dict[str, str]:
    """The trace context here and now, for `_meta` or the log; empty where there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


def remote(carrier: Mapping[str, str]) -> Context:
    """The context to make a span under; without a sound one in the carrier, the root."""
    return _PROPAGATOR.extract(carrier, context=Context())


class HeaderTrace:
    """ASGI middleware: a request's trace headers hold for what it brings, unless that says otherwise in `_meta`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        token = _attached(scope)
        try:
            await self._app(scope, receive, send)
        finally:
            if token is not None:
                context.detach(token)


def _attached(scope: Scope) -> Token[Context] | None:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
    carrier = {field: headers[field] for field in _FIELDS if field in headers}
    return context.attach(remote(carrier)) if "traceparent" in carrier else None
