"""JSON-RPC over a wire: requests with their answers, progress and cancellation. Knows no MCP beyond those.

Any task may ask; answers are matched in the task that listens, which never waits for anyone.
"""

import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import cast

import anyio
from anyio.abc import TaskGroup

from agent_mcp.downstream.faults import ConnectionLostError, DownstreamError, RpcError
from agent_mcp.downstream.inbound import Errand, Inbound, Responder
from agent_mcp.downstream.wire import JsonObject, Wire
from agent_mcp.sessions.patience import Patience

_log = logging.getLogger(__name__)

_NUMBER_DIGITS = 20
"""Longer numbers of requests are none of ours; `int` refuses very long ones."""
_CANCEL_NOTICE_SECONDS = 0.3
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603

OnProgress = Callable[[float, float | None, str], None]
OnNotice = Callable[[str], None]
"""Told of every notification by its method."""


class _Waiter:
    """One request whose answer is due."""

    __slots__ = ("answered", "error", "on_progress", "result")

    def __init__(self, on_progress: OnProgress | None) -> None:
        self.answered = anyio.Event()
        self.result: JsonObject = {}
        self.error: DownstreamError | None = None
        self.on_progress = on_progress

    def settle(self, *, result: JsonObject | None = None, error: DownstreamError | None = None) -> None:
        if self.answered.is_set():
            return
        self.result = result or {}
        self.error = error
        self.answered.set()


class Peer:
    """One server at the other end of a wire. Open it by `open_peer`."""

    def __init__(
        self, wire: Wire, on_notice: OnNotice, *, fixed: Mapping[str, JsonObject] | None = None
    ) -> None:
        """`fixed`: by method what the server is answered whoever it asks for."""
        self.wire = wire
        self.closed = anyio.Event()
        """Set as soon as the other side is gone."""
        self._on_notice = on_notice
        self._ids = itertools.count(1)
        self._waiters: dict[int, _Waiter] = {}
        self._inbound = Inbound(self._send_answer, fixed)
        self._tasks: TaskGroup | None = None

    async def run(self, tasks: TaskGroup) -> None:
        """Listen until the other side is gone; answers to its requests are written in `tasks`."""
        self._tasks = tasks
        try:
            await self.wire.listen(self._deliver)
        finally:
            self.closed.set()
            for waiter in self._waiters.values():
                waiter.settle(error=ConnectionLostError())

    async def request(
        self,
        method: str,
        params: JsonObject,
        *,
        timeout_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
        responder: Responder | None = None,
        cancellable: bool = True,
    ) -> JsonObject:
        """Ask, and wait for the answer. Being cancelled or out of time tells the server to stop, if `cancellable`.

        The time stands still while `responder` works on what the server asks meanwhile. With `on_progress` the request
        carries a progress token, for which `params["_meta"]` must exist.

        Raises:
            RpcError: the server answered with an error.
            ConnectionLostError: it is gone; `sent` tells whether the request may have reached it.
            TimeoutError: no answer in time.
        """
        if self.closed.is_set():
            raise ConnectionLostError(sent=False)
        number = next(self._ids)
        if on_progress is not None:
            params["_meta"]["progressToken"] = number
        waiter = self._waiters[number] = _Waiter(on_progress)
        patience = Patience(timeout_seconds)
        if responder is not None:
            self._inbound.begin(number, Errand(responder, patience))
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            with patience.running():
                await self.wire.send(message, headers)
                await waiter.answered.wait()
        finally:
            del self._waiters[number]
            self._inbound.end(number, answered=waiter.answered.is_set())
            if cancellable and not waiter.answered.is_set():
                await self._tell_cancelled(number)
        if not waiter.answered.is_set():
            raise TimeoutError
        if waiter.error is not None:
            raise waiter.error
        return waiter.result

    async def notify(
        self, method: str, params: JsonObject | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Tell the server something. Nothing happens if it is gone."""
        message: JsonObject = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        try:
            await self.wire.send(message, headers)
        except ConnectionLostError:
            _log.debug("%s not sent: the connection is gone", method)

    async def _tell_cancelled(self, number: int) -> None:
        # Shielded, as our own scope may be cancelled already; bounded, as a stuck pipe must not hold us.
        with anyio.move_on_after(_CANCEL_NOTICE_SECONDS, shield=True):
            await self.notify("notifications/cancelled", {"requestId": number, "reason": "no longer needed"})

    def _deliver(self, message: JsonObject, stream: int | None = None, /) -> None:
        method = message.get("method")
        if not isinstance(method, str):
            self._settle(message)
        elif "id" in message:
            self._answer(message, stream)
        elif method == "notifications/progress":
            self._progress(message.get("params"))
        elif method == "notifications/cancelled":
            self._inbound.withdraw(message.get("params"))
        else:
            self._on_notice(method)

    def _settle(self, message: JsonObject) -> None:
        waiter = self._waiter_of(message.get("id"))
        if waiter is None:
            self._inbound.answered_late(_as_number(message.get("id")) or 0)
            return
        result, error = message.get("result"), message.get("error")
        if isinstance(result, dict):
            waiter.settle(result=cast("JsonObject", result))
        elif isinstance(error, dict):
            waiter.settle(error=_rpc_error(cast("JsonObject", error)))
        else:
            waiter.settle(
                error=RpcError(INTERNAL_ERROR, "the server's answer is neither a result nor an error")
            )

    def _waiter_of(self, number: object) -> _Waiter | None:
        known = _as_number(number)
        return None if known is None else self._waiters.get(known)

    def _progress(self, params: object) -> None:
        if not isinstance(params, dict):
            return
        report = cast("JsonObject", params)
        waiter = self._waiter_of(report.get("progressToken"))
        progress, text = _as_figure(report.get("progress")), report.get("message")
        if waiter is None or waiter.on_progress is None or progress is None:
            return
        waiter.on_progress(progress, _as_figure(report.get("total")), text if isinstance(text, str) else "")

    def _answer(self, message: JsonObject, stream: int | None) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(self._inbound.respond, message, stream)

    async def _send_answer(self, message: JsonObject) -> None:
        try:
            await self.wire.send(message)
        except ConnectionLostError:
            _log.debug("answer not sent: the connection is gone")


def _as_number(number: object) -> int | None:
    # Some servers send the number back as a string.
    if isinstance(number, str) and number.isdecimal() and len(number) <= _NUMBER_DIGITS:
        return int(number)
    return number if isinstance(number, int) else None


def _as_figure(value: object) -> float | None:
    """A number of the wire; what is none, or has no float, is left out."""
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def _rpc_error(error: JsonObject) -> RpcError:
    code = error.get("code")
    message = error.get("message")
    return RpcError(
        code if isinstance(code, int) else INTERNAL_ERROR,
        message if isinstance(message, str) and message else "an error without a message",
        error.get("data"),
    )


@asynccontextmanager
async def open_peer(
    wire: Wire, on_notice: OnNotice, *, fixed: Mapping[str, JsonObject] | None = None
) -> AsyncGenerator[Peer]:
    """A peer that listens for as long as the context is open; `fixed` as for `Peer`."""
    peer = Peer(wire, on_notice, fixed=fixed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.run, tasks)
        try:
            yield peer
        finally:
            tasks.cancel_scope.cancel()
