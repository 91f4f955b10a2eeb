"""Putting what a downstream server asks to the person at the host, within the call that waits for the turn.

The turn has written the question into its log and waits there (`sessions.answering`). Up to 2025-11-25 it is relayed
by an elicitation request while the call waits on; from 2026-07-28 on by an `input_required` result, whose retry is the
same call. A host that has not what the question needs (a form, or opening an address) leaves it to others for a
moment, and then says for them that nobody can be asked.
"""

import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agent_mcp.errors import PublicError
from agent_mcp.sessions.events import InputAsked, InputGiven, InputShown
from agent_mcp.sessions.inputs import InputState
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.ports import Clock
from agent_mcp.sessions.service import SessionService

log = logging.getLogger(__name__)

GRACE_SECONDS = 1.0
"""So long a host that can't ask leaves a question to other hosts that wait for the same turn."""

Context = ServerRequestContext[Any, Any]
Elicit = Callable[[InputAsked], Awaitable[ElicitResult]]


@dataclass(frozen=True, slots=True)
class Modes:
    """What a host can put to its user."""

    form: bool = False
    url: bool = False

    def take(self, asked: InputAsked) -> bool:
        """Whether this question is among it."""
        return self.url if asked.url else self.form


NO_MODES = Modes()


def modes_of(ctx: Context) -> Modes:
    """As the host declares. One that says no more than that it can elicit shows forms."""
    declared = ctx.session.client_capabilities
    if declared is None or declared.elicitation is None:
        return NO_MODES
    form, url = declared.elicitation.form, declared.elicitation.url
    return Modes(form=form is not None or url is None, url=url is not None)


@dataclass(frozen=True, slots=True)
class InputChannel:
    """How a host's user is asked."""

    modes: Modes
    elicit: Elicit | None = None
    """Asks while the call waits; None: the call returns with the question and is retried with the answer."""


def channel_for(ctx: Context) -> InputChannel:
    """How the user of the host that makes this call is asked."""
    modes = modes_of(ctx)
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return InputChannel(modes)

    async def elicit(asked: InputAsked) -> ElicitResult:
        message = shown_message(asked)
        if asked.url:
            return await ctx.session.elicit_url(message, asked.url, asked.input_id, ctx.request_id)
        return await ctx.session.elicit_form(message, asked.schema, ctx.request_id)

    return InputChannel(modes, elicit)


def shown_message(asked: InputAsked) -> str:
    """What a person reads: they must know who it is that asks."""
    return f'The server "{asked.server}" asks:\n\n{asked.message}'


def request_of(asked: InputAsked) -> ElicitRequest:
    """The question as a request to the host."""
    message = shown_message(asked)
    if asked.url:
        params = ElicitRequestURLParams(message=message, url=asked.url, elicitation_id=asked.input_id)
    else:
        params = ElicitRequestFormParams(message=message, requested_schema=asked.schema)
    return ElicitRequest(method="elicitation/create", params=params)


def given_of(input_id: str, result: object) -> InputGiven:
    """What a host's answer comes to; anything that is none counts as nobody having been asked."""
    if not isinstance(result, ElicitResult):
        return InputGiven(input_id, "cancel", unasked=True)
    content = dict(result.content or {}) if result.action == "accept" else None
    return InputGiven(input_id, result.action, content)


def given_by_retry(state: Mapping[str, Any], responses: Mapping[str, object]) -> Sequence[InputGiven]:
    """The answers that a retried call brings to the questions that its request state names."""
    return [given_of(input_id, responses.get(input_id)) for input_id in state.get("inputs", ())]


class Relay:
    """Takes care of the questions of one turn for one call that waits for it."""

    def __init__(
        self, channel: InputChannel | None, *, service: SessionService, clock: Clock, group: TaskGroup
    ) -> None:
        """`channel`: None for a call that neither asks nor answers, as one whose task is asked instead."""
        self._channel = channel
        self._service = service
        self._clock = clock
        self._group = group
        self._scopes: dict[str, anyio.CancelScope] = {}

    def watch(self, state: SessionState) -> bool:
        """The log has grown; whether the call must return so that the host can ask."""
        if self._channel is None:
            return False
        waiting = {one.asked.input_id: one for one in (state.active.inputs if state.active else ())}
        for input_id, scope in self._scopes.items():
            if input_id not in waiting:
                scope.cancel()
        if any(self._is_for_retry(one) for one in waiting.values()):
            return True
        for input_id in waiting.keys() - self._scopes.keys():
            self._scopes[input_id] = anyio.CancelScope()
            self._group.start_soon(self._relay, state.id, waiting[input_id], self._channel)
        return False

    async def required(self, session_id: str, inputs: Sequence[InputState]) -> InputRequiredResult | None:
        """The call's result that asks all of these; None where this host is not asked so."""
        asked = [one.asked for one in inputs if self._is_for_retry(one)]
        if not asked:
            return None
        for one in asked:
            await self._service.answer_input(session_id, InputShown(one.input_id))
        state = {"session_id": session_id, "calls": [], "inputs": [one.input_id for one in asked]}
        requests = {one.input_id: request_of(one) for one in asked}
        return InputRequiredResult(input_requests=dict(requests), request_state=json.dumps(state))

    def _is_for_retry(self, one: InputState) -> bool:
        channel = self._channel
        return channel is not None and channel.elicit is None and channel.modes.take(one.asked)

    async def _relay(self, session_id: str, one: InputState, channel: InputChannel) -> None:
        asked = one.asked
        try:
            with self._scopes[asked.input_id]:
                if channel.elicit is not None and channel.modes.take(asked):
                    await self._elicit(session_id, asked, channel.elicit)
                    return
                await anyio.sleep(GRACE_SECONDS)
                if not one.shown:
                    await self._service.answer_input(session_id, given_of(asked.input_id, None))
        except PublicError as error:
            log.info("a question of session %s could not be relayed: %s", session_id, error)

    async def _elicit(self, session_id: str, asked: InputAsked, elicit: Elicit) -> None:
        await self._service.answer_input(session_id, InputShown(asked.input_id))
        result: ElicitResult | None = None
        # At its deadline the turn itself ends the question.
        with anyio.move_on_after(max(0.0, asked.expires_at - self._clock.now())) as scope:
            try:
                result = await elicit(asked)
            except MCPError as error:
                log.info("the host could not ask: %s", error)
            except ValidationError:
                # Without its text, which shows what the person said.
                log.info("the host's answer to a question does not fit the protocol")
        if not scope.cancelled_caught:
            await self._service.answer_input(session_id, given_of(asked.input_id, result))


@asynccontextmanager
async def relaying(
    channel: InputChannel | None, *, service: SessionService, clock: Clock
) -> AsyncGenerator[Relay]:
    """A relay for as long as a call waits; what it still asks then is taken back from the host."""
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        try:
            yield Relay(channel, service=service, clock=clock, group=group)
        except Exception as error:
            # Let through a task group, it would come out as a group of exceptions.
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
