"""Turns as traces: one span a turn, step, reply and tool call, under the trace of the call that opened the turn.

The context comes from the log, so a turn that goes on in another process after a crash is a second span in the same
trace. A step reaches from the request to the model until the next one, its tool calls included. Spans hold names,
figures and ids; what was said only where the user asks for it (see `content`).
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from agent_mcp.agent.events import Emit, Happening, ReplyRestarted, TextDelta
from agent_mcp.agent.messages import Reply, ToolCall, ToolResult, Usage
from agent_mcp.agent.ports import Model, ModelRequest, Toolbox
from agent_mcp.agent.tools import Tool
from agent_mcp.observability import content
from agent_mcp.observability import semantics as names
from agent_mcp.observability.instruments import Instruments
from agent_mcp.observability.propagation import current, remote
from agent_mcp.sessions.log import SessionState, TurnState
from agent_mcp.sessions.ports import Claim, SessionRecord


@dataclass(slots=True)
class _Running:
    """A turn as it runs."""

    span: Span
    state: SessionState
    step: Span | None = None
    open_calls: int = 0

    @property
    def innermost(self) -> Span:
        return self.step or self.span

    def end_step(self) -> None:
        if self.step is not None:
            self.step.end()
            self.step = None


_RUNNING: ContextVar[_Running | None] = ContextVar("agent_mcp_running_turn", default=None)


class TurnSpans:
    """The port `TurnObserver` on OpenTelemetry."""

    def __init__(self, tracer: Tracer, instruments: Instruments, *, with_content: bool) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._with_content = with_content

    @contextmanager
    def turn(self, record: SessionRecord, state: SessionState, claim: Claim) -> Generator[None]:
        """A span, and the turn among the running ones, until the runner leaves it."""
        agent = record.profile.agent
        turn = state.turns[claim.turn - 1]
        running = _Running(self._start_turn(record, turn, claim), state)
        token = _RUNNING.set(running)
        self._instruments.running_turns.add(1)
        began = time.perf_counter()
        try:
            with trace.use_span(running.span, record_exception=False, set_status_on_exception=False):
                yield
        finally:
            _RUNNING.reset(token)
            self._instruments.running_turns.add(-1)
            running.end_step()
            if turn.ended is not None:
                figures = {names.AGENT: agent, names.STOP_REASON: turn.ended.stop_reason}
                self._instruments.turn_seconds.record(time.perf_counter() - began, figures)
            _close_turn(running.span, turn)

    def model(self, model: Model) -> Model:
        """See `TurnObserver`."""
        return _SeenModel(model, self._tracer, self._instruments, with_content=self._with_content)

    def tools(self, tools: Toolbox) -> Toolbox:
        """See `TurnObserver`."""
        return _SeenTools(tools, self._tracer, self._instruments, with_content=self._with_content)

    def call_meta(self) -> Mapping[str, str]:
        """The trace context of the call that is being sent."""
        return current()

    def _start_turn(self, record: SessionRecord, turn: TurnState, claim: Claim) -> Span:
        agent = record.profile.agent
        return self._tracer.start_span(
            f"invoke_agent {agent}".rstrip(),
            context=remote(turn.trace),
            kind=SpanKind.INTERNAL,
            attributes={
                names.OPERATION: "invoke_agent",
                names.CONVERSATION: record.id,
                names.TURN: claim.turn,
                names.CLAIM: claim.epoch,
                **({names.AGENT: agent} if agent else {}),
            },
        )


def _close_turn(span: Span, turn: TurnState) -> None:
    span.set_attributes(_usage(turn.usage))
    if turn.ended is not None:
        span.set_attribute(names.STOP_REASON, turn.ended.stop_reason)
        if turn.ended.stop_reason == "error":
            _fail(span, turn.ended.error_code)
    span.end()


class _SeenModel:
    """A model whose replies are spans, each opening a step, but for those to a server in the middle of a call."""

    def __init__(self, inner: Model, tracer: Tracer, instruments: Instruments, *, with_content: bool) -> None:
        self._inner = inner
        self._tracer = tracer
        self._instruments = instruments
        self._with_content = with_content

    @property
    def wire(self) -> str:
        """As the model says."""
        return self._inner.wire

    @property
    def name(self) -> str:
        """As the model says."""
        return self._inner.name

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """The model's own, seen."""
        running = _RUNNING.get()
        if running is not None and not running.open_calls:
            running.end_step()
            number = len(running.state.steps)
            running.step = self._tracer.start_span(
                f"step {number}", trace.set_span_in_context(running.span), attributes={names.STEP: number}
            )
        parent = trace.set_span_in_context(running.innermost) if running else None
        attributes = self._attributes()
        span = self._tracer.start_span(
            f"chat {self.name}",
            parent,
            SpanKind.CLIENT,
            {**attributes, names.REQUEST_STREAM: True, names.CONVERSATION: request.session_id},
        )
        with _timed(span, self._instruments.model_seconds.record, attributes):
            return await self._observed(request, emit, span)

    async def _observed(self, request: ModelRequest, emit: Emit, span: Span) -> Reply:
        if self._with_content:
            span.set_attributes(content.of_request(request))
        reply = await self._inner.reply(request, self._listening(emit, span))
        span.set_attributes(_usage(reply.usage))
        span.set_attribute(names.FINISH_REASONS, [reply.stop])
        span.set_attribute(names.RESPONSE_MODEL, reply.model or self.name)
        if self._with_content:
            span.set_attributes(content.of_reply(reply))
        self._instruments.count_tokens(reply.usage, self._attributes())
        return reply

    def _attributes(self) -> dict[str, str]:
        return {
            names.OPERATION: "chat",
            names.PROVIDER: names.provider_of(self.wire),
            names.REQUEST_MODEL: self.name,
        }

    def _listening(self, emit: Emit, span: Span) -> Emit:
        began = time.perf_counter()
        is_first = True

        def listen(happening: Happening) -> None:
            nonlocal is_first
            match happening:
                case TextDelta() if is_first:
                    is_first = False
                    waited = time.perf_counter() - began
                    span.set_attribute(names.FIRST_CHUNK, waited)
                    self._instruments.first_chunk_seconds.record(waited, self._attributes())
                case ReplyRestarted(attempt=attempt):
                    span.add_event("retry", {"attempt": attempt})
                case _:
                    pass
            emit(happening)

        return listen


class _SeenTools:
    """Tools whose calls are spans."""

    def __init__(
        self, inner: Toolbox, tracer: Tracer, instruments: Instruments, *, with_content: bool
    ) -> None:
        self._inner = inner
        self._tracer = tracer
        self._instruments = instruments
        self._with_content = with_content

    @property
    def tools(self) -> Sequence[Tool]:
        """The inner ones."""
        return self._inner.tools

    async def call(self, call: ToolCall) -> ToolResult:
        """The inner result, seen."""
        running = _RUNNING.get()
        attributes = {names.OPERATION: "execute_tool", names.TOOL: call.name}
        span = self._tracer.start_span(
            f"execute_tool {call.name}",
            trace.set_span_in_context(running.innermost) if running else None,
            attributes={**attributes, names.TOOL_CALL: call.id, names.TOOL_TYPE: "extension"},
        )
        with _timed(span, self._instruments.tool_seconds.record, attributes), _among(running):
            if self._with_content:
                span.set_attributes(content.of_call(call))
            result = await self._inner.call(call)
            if self._with_content:
                span.set_attributes(content.of_result(result))
            if result.is_error:
                _fail(span, result.code or "TOOL_ERROR")
                attributes[names.ERROR] = result.code or "TOOL_ERROR"
            return result


@contextmanager
def _among(running: _Running | None) -> Generator[None]:
    """The call is one of the turn's open ones."""
    if running is None:
        yield
        return
    running.open_calls += 1
    try:
        yield
    finally:
        running.open_calls -= 1


@contextmanager
def _timed(
    span: Span, record: Callable[[float, dict[str, str]], None], attributes: dict[str, str]
) -> Generator[None]:
    """The span is the current one; its end, error and time are told, and what ends it by force is no secret's way out:
    of an exception only the type is kept."""
    began = time.perf_counter()
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield
    except BaseException as error:
        attributes[names.ERROR] = type(error).__name__
        _fail(span, attributes[names.ERROR])
        raise
    finally:
        record(time.perf_counter() - began, attributes)
        span.end()


def _usage(usage: Usage) -> dict[str, int | float]:
    figures: dict[str, int | float] = {
        names.INPUT_TOKENS: usage.input_tokens,
        names.OUTPUT_TOKENS: usage.output_tokens,
        names.CACHE_READ_TOKENS: usage.cache_read_tokens,
        names.CACHE_WRITE_TOKENS: usage.cache_write_tokens,
    }
    return figures if usage.cost_usd is None else {**figures, names.COST: usage.cost_usd}


def _fail(span: Span, kind: str) -> None:
    span.set_attribute(names.ERROR, kind)
    span.set_status(Status(StatusCode.ERROR))
