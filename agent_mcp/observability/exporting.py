"""OpenTelemetry's SDK, set up by its standard variables alone. Imported only where somebody wants traces or figures.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. The variables of samplers,
resources, limits, batches and exporters are read by the SDK itself. Different from the defaults: an exporter whose
package is not there is left out with a warning, and what was not sent when the program ends is given half a second.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import anyio
import anyio.to_thread
from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


@dataclass(frozen=True, slots=True)
class Providers:
    """Where spans and figures go."""

    tracers: trace.TracerProvider
    meters: MeterProvider
    registry: CollectorRegistry | None
    """What Prometheus reads; None: nothing is kept for it."""

    def page(self) -> tuple[bytes, str]:
        """The figures as Prometheus reads them, and their content type; empty if nothing is kept for it."""
        return (generate_latest(self.registry) if self.registry else b""), CONTENT_TYPE_LATEST

    async def aclose(self) -> None:
        """Send what is left, if that takes no longer than `FLUSH_SECONDS`."""
        # Shielded: the program is being ended. Abandoned in its thread if the collector does not answer.
        with anyio.move_on_after(FLUSH_SECONDS, shield=True):
            await anyio.to_thread.run_sync(self._flush, abandon_on_cancel=True)

    def _flush(self) -> None:
        timeout_ms = round(FLUSH_SECONDS * 1000)
        if isinstance(self.tracers, TracerProvider):
            self.tracers.force_flush(timeout_ms)
        self.meters.force_flush(timeout_ms)


def providers_of(environ: Mapping[str, str], *, version: str, prometheus: bool) -> Providers:
    """The providers that the variables ask for; a tracer provider that is there already is used as it is."""
    resource = _resource(environ, version)
    registry = CollectorRegistry() if prometheus else None
    readers: list[MetricReader] = [PrometheusMetricReader(registry=registry)] if registry else []
    exporters = _exporters("metrics", environ)
    readers += [PeriodicExportingMetricReader(exporter) for exporter in exporters]
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    return Providers(_tracers(environ, resource), meters, registry)


def _tracers(environ: Mapping[str, str], resource: Resource) -> trace.TracerProvider:
    exporters = _exporters("traces", environ)
    if not exporters:
        return trace.get_tracer_provider()
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    # The MCP SDK's spans around each request go the same way: ours are their children.
    trace.set_tracer_provider(provider)
    return provider


def _exporters(signal: str, environ: Mapping[str, str]) -> Sequence[Any]:
    """Those that `OTEL_TRACES_EXPORTER` or `OTEL_METRICS_EXPORTER` names; with an OTLP address alone, OTLP."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    upper = signal.upper()
    addressed = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get(
        f"OTEL_EXPORTER_OTLP_{upper}_ENDPOINT"
    )
    named = environ.get(f"OTEL_{upper}_EXPORTER") or ("otlp" if addressed else "none")
    wanted = [name.strip() for name in named.split(",")]
    made = [_exporter(signal, name, environ) for name in wanted if name not in ("", "none", "prometheus")]
    return [exporter for exporter in made if exporter is not None]


def _exporter(signal: str, name: str, environ: Mapping[str, str]) -> Any | None:
    if name == "otlp":
        protocol = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        protocol = protocol or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
        name = _PROTOCOLS.get(protocol, protocol)
    for found in entry_points(group=f"opentelemetry_{signal}_exporter", name=name):
        return found.load()()
    log.warning("OpenTelemetry: there is no exporter %s of %s here (install its package)", name, signal)
    return None


def _resource(environ: Mapping[str, str], version: str) -> Resource:
    own = {"service.name": "agent-mcp", "service.version": version}
    said = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if environ.get("OTEL_SERVICE_NAME") or "service.name=" in said:
        del own["service.name"]
    return Resource.create(own)
