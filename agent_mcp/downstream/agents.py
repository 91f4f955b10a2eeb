"""Calls of servers that are agent-mcp too: what they may spend, what they have spent, and how they are stopped.

That nobody waits any more does not stop a turn, here as there. So when a person stops our turn, the called agent is
told so by its own tool `cancel`: that works over every transport, in both eras and with any of its replicas.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import anyio

from agent_mcp.agent.messages import ToolCall
from agent_mcp.downstream.faults import DownstreamError
from agent_mcp.downstream.live import Live
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.chain import (
    ALLOWANCE_KEY,
    ANCESTRY_KEY,
    CALL_KEY,
    SERVER_NAME,
    may_spend,
    session_of_call,
)
from agent_mcp.sessions.tool_ports import ChainLink

_log = logging.getLogger(__name__)

STOP_SECONDS = 3.0
"""For telling the called agent to stop and hearing that it has; `cancel` must return within 5 s at every level."""
_AGAIN_SECONDS = 0.3

Ask = Callable[[Mapping[str, Any]], Awaitable[JsonObject]]
"""Makes the call, with more for its `_meta`."""


def runs_agent(live: Live, tool_name: str) -> bool:
    """Whether a call of this tool may have another agent's model work."""
    return live.channel.server_name == SERVER_NAME and may_spend(tool_name)


async def ask_agent(
    live: Live, call: ToolCall, *, tool_name: str, meta: Mapping[str, object], link: ChainLink, ask: Ask
) -> JsonObject:
    """The called agent's answer; if a person stops our turn meanwhile, its turn is stopped too, and waited for.

    Raises:
        What `ask` raises.
    """
    limits = link.allowance(call.id).limits
    outcome = _Outcome()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.run, ask, {ALLOWANCE_KEY: limits} if limits else {})
        try:
            await outcome.done.wait()
        except anyio.get_cancelled_exc_class():
            if link.cancelled:
                # Our own scope is cancelled already; the bound keeps our `cancel` within its time.
                with anyio.move_on_after(STOP_SECONDS, shield=True):
                    await _stop(live, call, tool_name=tool_name, meta=meta, done=outcome.done)
            outcome.leave()
            raise
    return outcome.answer()


class _Outcome:
    """What comes of a request that outlives the wish for it by a moment."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self._scope = anyio.CancelScope(shield=True)
        self._answer: JsonObject = {}
        self._error: Exception | None = None

    async def run(self, ask: Ask, more: Mapping[str, Any]) -> None:
        """Ask; shielded, so that only `leave` ends it early."""
        with self._scope:
            try:
                self._answer = await ask(more)
            except Exception as error:  # Raised again where the answer is awaited, and not as a group.
                self._error = error
            self.done.set()

    def leave(self) -> None:
        """Stop waiting for the answer."""
        self._scope.cancel()

    def answer(self) -> JsonObject:
        """The answer, or the error, that came."""
        if self._error is not None:
            raise self._error
        return self._answer


async def _stop(
    live: Live, call: ToolCall, *, tool_name: str, meta: Mapping[str, object], done: anyio.Event
) -> None:
    """Have the turn that a call runs or waits for cancelled, until the call itself is answered.

    Our word may overtake the call, so it is said again; twice no turn running means that there is none.
    """
    session_id = _session_of(call, tool_name, meta)
    quiet = 0
    while session_id is not None and quiet < 2 and not done.is_set():
        quiet += not await _told_to_stop(live, session_id, meta)
        with anyio.move_on_after(_AGAIN_SECONDS):
            await done.wait()


async def _told_to_stop(live: Live, session_id: str, meta: Mapping[str, object]) -> bool:
    """Whether there may still be something to stop."""
    params = {
        "name": "cancel",
        "arguments": {"session_id": session_id},
        "_meta": {ANCESTRY_KEY: meta.get(ANCESTRY_KEY, [])},
    }
    try:
        answer = await live.channel.request("tools/call", params, timeout_seconds=STOP_SECONDS)
    except (DownstreamError, TimeoutError) as error:
        _log.info("the called agent could not be told to stop: %s", error)
        return False
    content = answer.get("structuredContent")
    status = cast("JsonObject", content).get("status") if isinstance(content, dict) else None
    return status in ("running", "needs_approval")


def _session_of(call: ToolCall, tool_name: str, meta: Mapping[str, object]) -> str | None:
    named = (call.arguments or {}).get("session_id")
    if named is None and tool_name == "start_session":
        return session_of_call(str(meta.get(CALL_KEY)))
    return named if isinstance(named, str) else None
