"""Replies of the session's model to a server in the middle of a call, at the session's cost and under its budget.

What is said stays between the two: it is in no history and no transcript, only what it cost is in the log. Knows no
protocol; which server may ask at all is not decided here.
"""

import logging

import anyio

from agent_mcp.agent.events import Happening
from agent_mcp.agent.ports import Model, ModelRequest
from agent_mcp.errors import AgentMcpError
from agent_mcp.sessions.events import Sampled
from agent_mcp.sessions.inquiries import Refusal, SampleReply, SampleRequest
from agent_mcp.sessions.journal import LogJournal
from agent_mcp.sessions.meter import TurnMeter
from agent_mcp.sessions.ports import Clock

log = logging.getLogger(__name__)

SAMPLES_PER_CALL = 10
"""So many replies a server may have in one call; counted in the log, so over restarts too."""


class Sampler:
    """Replies for the servers of one turn. `sample` is the port `sessions.inquiries.Sample`."""

    def __init__(self, model: Model, *, journal: LogJournal, meter: TurnMeter, clock: Clock):
        self._model = model
        self._journal = journal
        self._meter = meter
        self._clock = clock
        # One at a time, so that each finds in the budget what the one before it has spent.
        self._turn = anyio.Lock()

    async def sample(self, call_id: str, request: SampleRequest) -> SampleReply | Refusal:
        """The model's reply, or why there is none."""
        async with self._turn:
            try:
                return await self._sampled(call_id, request)
            except AgentMcpError as error:
                log.info("no reply of the model for call %s: %s", call_id, error)
                return Refusal(f"the model gave no reply: {error}")

    async def _why_not(self, call_id: str) -> str | None:
        state = self._journal.state
        call = state.calls[call_id]
        if call.result is not None:
            return "the call is over"
        if len(call.samples) >= SAMPLES_PER_CALL:
            return f"a call may have at most {SAMPLES_PER_CALL} replies of the model"
        why = await self._meter.why_no_reply()
        return f"the session's budget leaves no room for it: {why}" if why else None

    async def _sampled(self, call_id: str, request: SampleRequest) -> SampleReply | Refusal:
        if reason := await self._why_not(call_id):
            return Refusal(reason)
        began = self._clock.monotonic()
        asked = ModelRequest(
            system=request.system, tools=(), history=request.history, max_output_tokens=request.max_tokens
        )
        reply = await self._model.reply(asked, _unheard)
        took = round((self._clock.monotonic() - began) * 1000)
        await self._journal.append(Sampled(call_id, reply.usage, reply.model, took))
        return SampleReply(reply.text, reply.model, is_cut=reply.stop == "max_tokens")


def _unheard(happening: Happening) -> None:
    """What the model says here is not what the session says."""
