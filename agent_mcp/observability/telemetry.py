"""How the application is looked at, for who puts it together. Knows no OpenTelemetry."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_mcp.sessions.observing import TurnObserver, Unobserved
from agent_mcp.sessions.ports import SessionStore

if TYPE_CHECKING:
    from starlette.types import ASGIApp

Page = Callable[[], tuple[bytes, str]]
"""A page of figures, and its content type."""


def _as_it_is(store: SessionStore) -> SessionStore:
    return store


async def _nothing(store: SessionStore) -> None:
    return


@dataclass(frozen=True, slots=True)
class Telemetry:
    """How the application is looked at; as it is made here, not at all."""

    observer: TurnObserver = field(default_factory=Unobserved)
    watched: Callable[[SessionStore], SessionStore] = _as_it_is
    """Puts something between the application and its store that times and counts."""
    count_queue: Callable[[SessionStore], Coroutine[Any, Any, None]] = _nothing
    """Counts what waits, now and then, until it is cancelled."""
    around_http: "Callable[[ASGIApp], ASGIApp] | None" = None
    """What an HTTP request passes first."""
    page: Page | None = None
    """What Prometheus reads; None where the config does not ask for it."""
