"""The figures that are kept: how long things take, how much there is of them. Knows no exporter and no content."""

from collections.abc import Mapping

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from agent_mcp.agent.messages import Usage
from agent_mcp.observability import semantics as names

Attributes = Mapping[str, str]


class Instruments:
    """All instruments of one meter. Values are seconds, tokens, events or turns."""

    def __init__(self, provider: MeterProvider, version: str) -> None:
        meter = provider.get_meter("agent_mcp", version)
        seconds, steps = "s", list(names.SECONDS_BUCKETS)
        self.model_seconds = meter.create_histogram(
            names.OPERATION_DURATION,
            unit=seconds,
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=steps,
        )
        self.first_chunk_seconds = meter.create_histogram(
            names.TIME_TO_FIRST_CHUNK,
            unit=seconds,
            description="Time to the first chunk of a reply.",
            explicit_bucket_boundaries_advisory=steps,
        )
        self.tool_seconds = meter.create_histogram(
            names.TOOL_DURATION,
            unit=seconds,
            description="Duration of a tool call, without waiting for approval.",
            explicit_bucket_boundaries_advisory=steps,
        )
        self.turn_seconds = meter.create_histogram(
            names.AGENT_DURATION,
            unit=seconds,
            description="Duration of a turn in the process that ended it.",
            explicit_bucket_boundaries_advisory=list(names.TURN_BUCKETS),
        )
        self.append_seconds = meter.create_histogram(
            names.APPEND_DURATION,
            unit=seconds,
            description="Time until an append to the log is committed.",
            explicit_bucket_boundaries_advisory=list(names.APPEND_BUCKETS),
        )
        self._tokens = meter.create_histogram(
            names.TOKEN_USAGE,
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=list(names.TOKEN_BUCKETS),
        )
        self.appended_events = meter.create_counter(
            names.APPENDED_EVENTS, unit="{event}", description="Events appended to the log by this process."
        )
        self.running_turns = meter.create_up_down_counter(
            names.RUNNING_TURNS, unit="{turn}", description="Turns that this process runs now."
        )
        self.queued: int | None = None
        """Turns that wait for somebody to run them, in the whole store; None until it is known."""
        meter.create_observable_gauge(
            names.QUEUED_TURNS,
            callbacks=[self._observe_queue],
            unit="{turn}",
            description="Turns in the store that wait to be run.",
        )

    def count_tokens(self, usage: Usage, attributes: Attributes) -> None:
        """What one reply took."""
        self._tokens.record(usage.input_tokens, {**attributes, names.TOKEN_TYPE: "input"})
        self._tokens.record(usage.output_tokens, {**attributes, names.TOKEN_TYPE: "output"})

    def _observe_queue(self, _: CallbackOptions) -> list[Observation]:
        return [] if self.queued is None else [Observation(self.queued)]
