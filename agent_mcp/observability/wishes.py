"""Whether anybody wants traces and figures: the one door to what in this room needs OpenTelemetry.

Without a wish nothing of it is imported, wrapped or asked, so it costs nothing.
"""

import logging
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from agent_mcp.errors import ConfigError
from agent_mcp.observability.telemetry import Telemetry

log = logging.getLogger(__name__)

_INSTALL = "pip install 'agent-mcp[otel]'"
_WISHES = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
)


@asynccontextmanager
async def open_telemetry(environ: Mapping[str, str], *, metrics: bool) -> AsyncGenerator[Telemetry]:
    """What the OTEL_* variables ask for, and with `metrics` a page for Prometheus; what is left is sent at the end.

    Raises:
        ConfigError: there is to be a page, and the packages for it are not installed.
    """
    if not (metrics or _is_wanted(environ)):
        yield Telemetry()
        return
    try:
        from agent_mcp.observability.assembly import open_looking
    except ImportError as error:
        if metrics:
            raise ConfigError("server.metrics", f"needs a package: {error}", hint=_INSTALL) from error
        log.warning("traces and metrics are off: %s (%s)", error, _INSTALL)
        yield Telemetry()
        return
    async with open_looking(environ, metrics=metrics) as telemetry:
        yield telemetry


def _is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether a variable says where to, or somebody who started us has set up tracing already."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if any(environ.get(name, "none") not in ("", "none") for name in _WISHES):
        return True
    api = sys.modules.get("opentelemetry.trace")
    return api is not None and type(api.get_tracer_provider()).__module__.startswith("opentelemetry.sdk")
