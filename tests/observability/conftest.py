"""Something to look with: spans and figures that are kept in memory."""

from dataclasses import dataclass

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_mcp.observability.instruments import Instruments
from agent_mcp.observability.spans import TurnSpans


def _value(point: object) -> float:
    match point:
        case HistogramDataPoint(count=count):
            return count
        case NumberDataPoint(value=value):
            return value
        case _:
            raise AssertionError(f"an unexpected point: {point}")


@dataclass(frozen=True)
class Seen:
    """What was seen."""

    tracers: TracerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    instruments: Instruments

    def observer(self, *, with_content: bool = False) -> TurnSpans:
        """One that keeps what it sees here."""
        return TurnSpans(self.tracers.get_tracer("t"), self.instruments, with_content=with_content)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """The ended spans, by name."""
        return {span.name: span for span in self.exporter.get_finished_spans()}

    @property
    def figures(self) -> dict[str, list[tuple[dict[str, object], float]]]:
        """Attributes and value (of a histogram the count) of each instrument's points, by its name."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[tuple[dict[str, object], float]]] = {}
        for resource in data.resource_metrics if data else ():
            for metric in (m for scope in resource.scope_metrics for m in scope.metrics):
                found[metric.name] = [(dict(p.attributes or {}), _value(p)) for p in metric.data.data_points]
        return found


@pytest.fixture
def seen() -> Seen:
    """Nothing yet."""
    tracers, exporter, reader = TracerProvider(), InMemorySpanExporter(), InMemoryMetricReader()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    return Seen(tracers, exporter, reader, Instruments(MeterProvider([reader]), "1"))
