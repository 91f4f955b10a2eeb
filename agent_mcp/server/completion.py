"""Completion of what a user types into a resource template or a prompt: session ids, step numbers, agent names."""

from collections.abc import Sequence

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    PromptReference,
    ResourceTemplateReference,
)

from agent_mcp.errors import PublicError, StoreError
from agent_mcp.server.prompts import DELEGATE
from agent_mcp.server.resources import Context, ServiceFor
from agent_mcp.server.uris import AGENT_TEMPLATE, SESSION_TEMPLATE, STEP_TEMPLATE
from agent_mcp.sessions.cards import AgentCards
from agent_mcp.sessions.service import SessionService

MAX_VALUES = 100
"""The protocol's limit."""


class Completions:
    """Answers `completion/complete`; each caller is offered its own sessions."""

    def __init__(self, service_for: ServiceFor, cards: AgentCards) -> None:
        self._service_for = service_for
        self._cards = cards

    async def complete(self, ctx: Context, params: CompleteRequestParams) -> CompleteResult:
        """Values that begin with what was typed; of sessions also those whose title contains it.

        Raises:
            MCPError: there is no such template or prompt.
        """
        argument, typed = params.argument.name, params.argument.value
        match params.ref:
            case ResourceTemplateReference(uri=uri) if uri in (
                SESSION_TEMPLATE,
                STEP_TEMPLATE,
                AGENT_TEMPLATE,
            ):
                pass
            case PromptReference(name=name) if name == DELEGATE:
                pass
            case ref:
                what = ref.name if isinstance(ref, PromptReference) else ref.uri
                raise MCPError(code=INVALID_PARAMS, message=f"There is nothing to complete in {what!r}.")
        match argument:
            case "session_id":
                return await _sessions(self._service_for(ctx), typed)
            case "n":
                session_id = ((params.context.arguments if params.context else None) or {}).get(
                    "session_id", ""
                )
                return _matching(await _steps(self._service_for(ctx), session_id), typed)
            case "name" | "agent":
                return _matching(self._cards.names, typed)
            case _:
                return _matching((), typed)


async def _sessions(service: SessionService, typed: str) -> CompleteResult:
    try:
        page = await service.list(status=None, query=typed, limit=MAX_VALUES, cursor=None)
    except StoreError as error:
        raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
    ids = [line.id for line, _ in page.sessions]
    ids.sort(key=lambda session_id: not session_id.startswith(typed))  # stable: else by last update
    return CompleteResult(completion=Completion(values=ids, has_more=page.next_cursor is not None))


async def _steps(service: SessionService, session_id: str) -> Sequence[str]:
    try:
        summary = await service.summary(session_id)
    except PublicError:
        return ()
    return [str(number) for number in range(summary.steps)]


def _matching(values: Sequence[str], typed: str) -> CompleteResult:
    found = [value for value in values if value.startswith(typed)]
    completion = Completion(values=found[:MAX_VALUES], total=len(found), has_more=len(found) > MAX_VALUES)
    return CompleteResult(completion=completion)
