"""How the HTTP server is looked at from outside: what a request passes first, and a page of figures.

Knows neither OpenTelemetry nor Prometheus; both come from whoever puts the server together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import anyio.to_thread
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

METRICS_PATH = "/metrics"

Page = Callable[[], tuple[bytes, str]]
"""Figures in Prometheus' format, and their content type."""


@dataclass(frozen=True, slots=True)
class Looking:
    """As it is made here, nobody looks."""

    around: Callable[[ASGIApp], ASGIApp] | None = None
    """What every request passes first."""
    page: Page | None = None
    """None: there is no `/metrics`."""


class MetricsPage:
    """Shows the figures, to GET alone. They are gathered in a thread, since every instrument is asked."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["method"] not in ("GET", "HEAD"):
            await Response(status_code=405, headers={"Allow": "GET, HEAD"})(scope, receive, send)
            return
        content, media_type = await anyio.to_thread.run_sync(self._page)
        await Response(content, headers={"Content-Type": media_type})(scope, receive, send)
