"""One tool call on one server, from the model's wish to the result that the model reads.

A request is sent a second time only if the first certainly never reached the server. What may have happened is
called so.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import anyio
from mcp.shared.inbound import mcp_param_headers

from agent_mcp.agent.events import Emit, ToolProgress
from agent_mcp.agent.messages import ResultCode, ToolCall, ToolResult
from agent_mcp.agent.tools import Tool
from agent_mcp.downstream.agents import ask_agent, runs_agent
from agent_mcp.downstream.connection import Connection
from agent_mcp.downstream.content import to_result
from agent_mcp.downstream.desk import CallDesk
from agent_mcp.downstream.faults import (
    LOST,
    NOT_SENT,
    SESSION_GONE,
    TOO_LARGE,
    ConnectionLostError,
    DownstreamError,
    RpcError,
    UnavailableError,
)
from agent_mcp.downstream.live import Live
from agent_mcp.downstream.peer import OnProgress
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.chain import bill_of
from agent_mcp.sessions.tool_ports import ChainLink

_log = logging.getLogger(__name__)

_MAX_INPUT_ROUNDS = 10
_SHOWN_DATA_CHARACTERS = 1000
_CONNECTION_CLOSED = -32000
_EVENT_TOO_LARGE = "SSE stream failed: Server-sent event exceeded"
_MAY_HAVE_HAPPENED = "what it was to do may have happened all the same"


@dataclass(frozen=True, slots=True)
class Order:
    """A call with all that belongs to it."""

    call: ToolCall
    tool: Tool
    connection: Connection
    meta: Mapping[str, object]
    """Goes into `_meta` of the request."""
    emit: Emit
    on_live: Callable[[Live], None]
    """Told which connection the call goes over."""
    desk: CallDesk
    """Answers what the server asks on the way."""
    link: ChainLink | None = None
    """Our turn, for servers that are agents too."""

    @property
    def server(self) -> str:
        """The server's name."""
        return self.tool.server


async def run_call(order: Order) -> ToolResult:
    """Run the call to its end; every failure is a result."""
    started = time.perf_counter()
    try:
        answer = await _answer(order)
    except (DownstreamError, TimeoutError) as error:
        code, message = _explained(error, order)
        message = order.connection.server.without_secrets(message)
        return ToolResult.failure(order.call, code, message, duration_ms=_took(order, started))
    result = to_result(order.call, answer, duration_ms=_took(order, started))
    return replace(result, bill=bill_of(answer.get("_meta"), order.server))


async def _answer(order: Order) -> JsonObject:
    """The server's answer; after a connection that turns out to be dead, one more try on a new one."""
    live = await order.connection.get()
    try:
        return await _ask_over(live, order)
    except (ConnectionLostError, RpcError) as error:
        if not _certainly_not_run(error):
            raise
    order.connection.recycle(live)
    return await _ask_over(await order.connection.get(), order)


async def _ask_over(live: Live, order: Order) -> JsonObject:
    order.on_live(live)
    async with live.in_use():
        try:
            return await _ask_whom(live, order)
        except RpcError as error:
            if _is_loss(error):
                raise ConnectionLostError(error.message) from error
            raise
        except ConnectionLostError as error:
            raise ConnectionLostError(await live.epitaph(), sent=error.sent) from error


async def _ask_whom(live: Live, order: Order) -> JsonObject:
    tool_name = order.tool.tool_name
    if order.link is None or not runs_agent(live, tool_name):
        return await _ask(live, order)
    link = order.link

    async def ask(more: Mapping[str, Any]) -> JsonObject:
        answer = await _ask(live, replace(order, meta={**order.meta, **more}))
        if link.cancelled and (bill := bill_of(answer.get("_meta"), order.server)):
            link.bill(order.call.id, bill)
        return answer

    return await ask_agent(live, order.call, tool_name=tool_name, meta=order.meta, link=link, ask=ask)


async def _ask(live: Live, order: Order) -> JsonObject:
    """Ask, answering what the server wants to know on the way (2026-07-28, `input_required`)."""
    answer = await _request(live, order, {})
    rounds = 0
    while answer.get("resultType") == "input_required":
        if rounds == _MAX_INPUT_ROUNDS:
            raise RpcError(0, f"the server keeps asking for input, after {rounds} rounds of it")
        rounds += 1
        answer = await _request(live, order, await _answered(answer, order.desk))
    return answer


async def _request(live: Live, order: Order, more: JsonObject) -> JsonObject:
    arguments = order.call.arguments or {}
    name = order.tool.tool_name
    header_map = live.listing.header_maps.get(name)
    return await live.channel.request(
        "tools/call",
        {"name": name, "arguments": arguments, "_meta": dict(order.meta), **more},
        timeout_seconds=order.connection.server.entry.timeout,
        on_progress=_progress_of(order),
        responder=order.desk,
        headers=mcp_param_headers(header_map, arguments) if header_map else None,
    )


async def _answered(answer: JsonObject, desk: CallDesk) -> JsonObject:
    """What the same call takes with it the next time: an answer to each question; its state goes back as it came.

    Raises:
        RpcError: one of the questions has no answer, and no polite no.
    """
    requests = answer.get("inputRequests")
    asked = cast("dict[str, Any]", requests) if isinstance(requests, dict) else {}
    responses: JsonObject = {}
    refusals: list[RpcError] = []

    async def respond(key: str, request: Any) -> None:
        try:
            responses[key] = await _response(request, desk)
        except RpcError as error:
            refusals.append(error)

    async with anyio.create_task_group() as tasks:
        for key, request in asked.items():
            tasks.start_soon(respond, key, request)
    if refusals:
        raise refusals[0]
    more: JsonObject = {"inputResponses": responses}
    if isinstance(answer.get("requestState"), str):
        more["requestState"] = answer["requestState"]
    return more


async def _response(request: Any, desk: CallDesk) -> JsonObject:
    match request:
        case {"method": str(method), **more}:
            params = more.get("params")
            return await desk.respond(method, cast("JsonObject", params) if isinstance(params, dict) else {})
        case _:
            raise RpcError(0, f"the server asks for something that can't be given here: {_shown(request)}")


def _progress_of(order: Order) -> OnProgress:
    def report(progress: float, total: float | None, message: str) -> None:
        try:
            order.emit(ToolProgress(order.call.id, progress, total, message))
        except Exception:
            # This runs in the task that reads for all sessions: one bad listener must not end the connection.
            _log.exception("a listener failed on progress of %s", order.call.name)

    return report


def _certainly_not_run(error: DownstreamError) -> bool:
    match error:
        case ConnectionLostError():
            return not error.sent
        case RpcError():
            return error.code in (NOT_SENT, SESSION_GONE) or _is_unknown_session(error)
        case _:
            return False


def _is_unknown_session(error: RpcError) -> bool:
    """How SDK servers say that they were restarted (python-sdk issue 3556); they ran nothing."""
    return error.code == -32600 and error.message in ("Session not found", "Session terminated")


def _is_loss(error: RpcError) -> bool:
    """Whether an error was made up on our side because the answer can't come any more.

    -32000 alone says nothing: servers use it for errors of their own.
    """
    if _is_too_large(error):
        return False
    return error.code == LOST or (error.code == _CONNECTION_CLOSED and error.message.startswith("SSE stream"))


def _is_too_large(error: RpcError) -> bool:
    """Whether the answer was longer than is read; of an event the SDK says so, and in these words alone."""
    return error.code == TOO_LARGE or error.message.startswith(_EVENT_TOO_LARGE)


def _explained(error: DownstreamError | TimeoutError, order: Order) -> tuple[ResultCode, str]:
    """The code and the words by which the model learns what went wrong."""
    server = order.server
    match error:
        case TimeoutError():
            limit = order.connection.server.entry.timeout
            return (
                "TOOL_TIMEOUT",
                f"no answer from {server} within {limit:g} s; the call was cancelled, but {_MAY_HAVE_HAPPENED}",
            )
        case ConnectionLostError(sent=True) if not order.tool.rerunnable:
            return "INTERRUPTED", f"server {server} was lost during the call: {error}; {_MAY_HAVE_HAPPENED}"
        case ConnectionLostError(sent=True):
            return "SERVER_UNAVAILABLE", f"server {server} was lost during the call: {error}"
        case UnavailableError() | ConnectionLostError():
            return "SERVER_UNAVAILABLE", f"server {server} is down: {error}"
        case RpcError(code=code) if code in (NOT_SENT, SESSION_GONE):
            return "SERVER_UNAVAILABLE", f"server {server} is down: {error}"
        case RpcError() if _is_too_large(error):
            reason = error.message.rstrip(".")
            way_out = f"Ask for less at a time; {_MAY_HAVE_HAPPENED}"
            return "TOOL_ERROR", f"the answer is too large: {reason}. {way_out}"
        case RpcError():
            data = f"; {_shown(error.data)}" if error.data is not None else ""
            return "TOOL_ERROR", f"{error.message}{data}"
        case _:
            return "TOOL_ERROR", str(error)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:_SHOWN_DATA_CHARACTERS]


def _took(order: Order, started: float) -> int:
    """Milliseconds, without those that a person was waited for."""
    return round((time.perf_counter() - started - order.desk.waiting.held_seconds) * 1000)
