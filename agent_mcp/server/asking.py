"""Putting waiting approvals to the person at the host, within the call that waits for the turn.

The runner never talks to a host: a turn has no call to talk on. Whoever waits here relays its question on the live
request: by an elicitation request up to 2025-11-25, and from 2026-07-28 on by an `input_required` result, whose retry
is the same call with the answers in it. A host that can't ask, or a person who dismisses the question, leaves the
call waiting: the result says `needs_approval`, and `approve` answers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agent_mcp.server.relaying import given_by_retry
from agent_mcp.server.settling import CHOICES, Answers, Decision
from agent_mcp.sessions.events import InputGiven
from agent_mcp.sessions.log import CallState
from agent_mcp.sessions.veil import visible

ASKED_CHARACTERS = 20_000
"""A question longer than this is not asked: a person could not read what they allow."""
_KEY = "approvals"


@dataclass(frozen=True, slots=True)
class Retry:
    """What a retried call of the newer era brings back."""

    session_id: str
    answers: Answers | None
    """None: it had not asked about calls."""
    inputs: Sequence[InputGiven] = ()
    """What came of the questions of servers."""


class Asker(Protocol):
    """A way to a person."""

    async def ask(
        self, session_id: str, calls: Sequence[CallState], *, seconds: float
    ) -> Answers | InputRequiredResult | None:
        """Put the calls to the person, all together, for at most `seconds`; no answers if they won't say in time.

        None: they could not be asked.

        An `InputRequiredResult` is to be returned as the call's result: the answers come with its retry.
        """
        ...


def asker_for(ctx: ServerRequestContext[Any, Any]) -> Asker | None:
    """How this host can ask its user; None if it can't."""
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.elicitation is None:
        return None
    # A host that names the modes it has, and not this one, shows links only.
    if capabilities.elicitation.form is None and capabilities.elicitation.url is not None:
        return None
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return RetriedAsker()
    return ElicitingAsker(ctx)


@dataclass(frozen=True, slots=True)
class ElicitingAsker:
    """Asks on the waiting call's own back channel, as hosts up to 2025-11-25 understand it."""

    ctx: ServerRequestContext[Any, Any]

    async def ask(
        self, session_id: str, calls: Sequence[CallState], *, seconds: float
    ) -> Answers | InputRequiredResult | None:
        """Ask and wait; a host that fails to ask, or whose answer is none, counts as one that can't."""
        params = form_of(calls)
        if params is None:
            return None
        # The call must return before its host gives up on it; the question then still waits in the session.
        with anyio.move_on_after(seconds):
            try:
                result = await self.ctx.session.elicit_form(
                    params.message, params.requested_schema, self.ctx.request_id
                )
            except (MCPError, ValidationError):
                return None
            return decided(result, [call.call.id for call in calls])
        return {}


@dataclass(frozen=True, slots=True)
class RetriedAsker:
    """Asks by the call's result, as hosts from 2026-07-28 on understand it."""

    async def ask(
        self, session_id: str, calls: Sequence[CallState], *, seconds: float
    ) -> Answers | InputRequiredResult | None:
        """The question as a result; what it is about travels in the request state, which the server seals."""
        params = form_of(calls)
        if params is None:
            return None
        state = json.dumps({"session_id": session_id, "calls": [call.call.id for call in calls]})
        return InputRequiredResult(
            input_requests={_KEY: ElicitRequest(method="elicitation/create", params=params)},
            request_state=state,
        )


def retry_of(params: CallToolRequestParams) -> Retry | None:
    """What a call brings back of the one that it retries; None if it is no retry of ours."""
    if params.request_state is None or not params.input_responses:
        return None
    state = cast("dict[str, Any]", json.loads(params.request_state))
    result = params.input_responses.get(_KEY)
    answers: Answers | None = {} if state["calls"] else None
    if isinstance(result, ElicitResult):
        answers = decided(result, state["calls"])
    return Retry(state["session_id"], answers, given_by_retry(state, params.input_responses))


def form_of(calls: Sequence[CallState]) -> ElicitRequestFormParams | None:
    """One question about all the calls, each with its server, tool and whole arguments; None if it is too long."""
    lines = [_described(number, call) for number, call in enumerate(calls, start=1)]
    message = "\n\n".join(["The agent asks to run:", *lines])
    if len(message) > ASKED_CHARACTERS:
        return None
    properties: dict[str, Any] = {
        _field(number): {
            "type": "string",
            "title": f"{number}. {call.call.name}",
            "enum": list(CHOICES),
        }
        for number, call in enumerate(calls, start=1)
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ElicitRequestFormParams(message=message, requested_schema=schema)


def _described(number: int, call: CallState) -> str:
    arguments = visible(json.dumps(call.veiled.arguments, ensure_ascii=False, indent=2), keep="\n")
    why = f"\nasked because of {call.rule}" if call.rule else ""
    return f"{number}. {call.tool_name} on server {call.server}\n{arguments}{why}"


def _field(number: int) -> str:
    return f"call_{number}"


def decided(result: ElicitResult, call_ids: Sequence[str]) -> Answers:
    """What the person said of the calls, in the order of the form that asked.

    `decline` denies every call; `cancel` dismisses the question: the person has not chosen.
    """
    match result.action:
        case "decline":
            return dict.fromkeys(call_ids, cast("Decision", "deny"))
        case "cancel":
            return dict.fromkeys(call_ids, cast("Decision", "dismissed"))
        case "accept":
            said = result.content or {}
            choices = {call_id: said.get(_field(number)) for number, call_id in enumerate(call_ids, start=1)}
            return {
                call_id: CHOICES[choice]
                for call_id, choice in choices.items()
                if isinstance(choice, str) and choice in CHOICES
            }
