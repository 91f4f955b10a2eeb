"""Puts together what looks at the application. Imported only where somebody wants that."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio

from agent_mcp import version
from agent_mcp.errors import AgentMcpError
from agent_mcp.observability import content
from agent_mcp.observability.exporting import providers_of
from agent_mcp.observability.instruments import Instruments
from agent_mcp.observability.propagation import HeaderTrace
from agent_mcp.observability.spans import TurnSpans
from agent_mcp.observability.store import watched
from agent_mcp.observability.telemetry import Telemetry
from agent_mcp.sessions.ports import SessionStore

log = logging.getLogger(__name__)

QUEUE_SECONDS = 5.0
"""How often the queue is counted."""


@asynccontextmanager
async def open_looking(environ: Mapping[str, str], *, metrics: bool) -> AsyncGenerator[Telemetry]:
    """Everything, exporting as the OTEL_* variables say; with `metrics` also a page for Prometheus."""
    providers = providers_of(environ, version=version(), prometheus=metrics)
    instruments = Instruments(providers.meters, version())
    tracer = providers.tracers.get_tracer("agent_mcp", version())
    try:
        yield Telemetry(
            observer=TurnSpans(tracer, instruments, with_content=content.is_wanted(environ)),
            watched=lambda store: watched(store, instruments),
            count_queue=partial(_count_queue, instruments),
            around_http=HeaderTrace,
            page=providers.page if metrics else None,
        )
    finally:
        await providers.aclose()


async def _count_queue(instruments: Instruments, store: SessionStore) -> None:
    while True:
        try:
            instruments.queued = sum(turn.status == "queued" for turn in await store.unfinished())
        except AgentMcpError as error:
            log.info("the queue could not be counted: %s", error)
        await anyio.sleep(QUEUE_SECONDS)
