"""Sessions and agents as resources: for a host's user to pick and for programs to read.

Nothing of the eight tools depends on them; `summary` says the same. Knows no subscriptions (see `updates`).
"""

from collections.abc import Callable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    Annotations,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from agent_mcp.errors import (
    AgentNotFoundError,
    InvalidArgumentError,
    SessionNotFoundError,
    StoreError,
)
from agent_mcp.server.documents import agent_document, step_document, transcript_document
from agent_mcp.server.results import timestamp
from agent_mcp.server.uris import (
    AGENT_TEMPLATE,
    SESSION_TEMPLATE,
    STEP_TEMPLATE,
    AgentUri,
    ResourceUri,
    SessionUri,
    StepUri,
    agent_uri,
    parse_uri,
    resource_not_found,
    session_uri,
)
from agent_mcp.sessions.cards import AgentCards
from agent_mcp.sessions.log import SessionStatus
from agent_mcp.sessions.ports import SessionListing
from agent_mcp.sessions.service import SessionService

Context = ServerRequestContext[Any, Any]
ServiceFor = Callable[[Context], SessionService]
"""The use cases as the caller of a request may use them."""

PAGE_SESSIONS = 50
LISTED_SESSIONS = 300
"""How far back the list goes: hosts read all of it, page after page. Older sessions can still be read."""
MARKDOWN = "text/markdown"
JSON = "application/json"

_NOT_FOUND = (SessionNotFoundError, AgentNotFoundError)


class Resources:
    """Lists and reads; each caller finds its own sessions, and every agent."""

    def __init__(self, service_for: ServiceFor, cards: AgentCards) -> None:
        self._service_for = service_for
        self._cards = cards

    async def list(self, ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        """The agents, then the most recent sessions."""
        shown, cursor = _read_cursor(params.cursor if params is not None else None)
        limit = min(PAGE_SESSIONS, LISTED_SESSIONS - shown)
        try:
            page = await self._service_for(ctx).list(status=None, query="", limit=limit, cursor=cursor)
        except InvalidArgumentError as error:
            raise _wrong_cursor() from error
        except StoreError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        agents = (
            []
            if shown
            else [_agent(name, self._cards.profile(name).description) for name in self._cards.names]
        )
        sessions = [_session(line, status) for line, status in page.sessions]
        shown += len(sessions)
        more = page.next_cursor is not None and shown < LISTED_SESSIONS
        return ListResourcesResult(
            resources=[*agents, *sessions], next_cursor=f"{shown}:{page.next_cursor}" if more else None
        )

    async def templates(
        self, ctx: Context, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        """The three kinds there are."""
        return ListResourceTemplatesResult(resource_templates=resource_templates())

    async def read(self, ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        """One resource, whole.

        Raises:
            MCPError: there is none of this URI, or none for this caller.
        """
        uri = str(params.uri)
        mime_type, text = await self.document(ctx, uri)
        return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=mime_type, text=text)])

    async def document(self, ctx: Context, uri: str) -> tuple[str, str]:
        """The MIME type and text of a resource.

        Raises:
            MCPError: there is none of this URI, or none for this caller.
        """
        parsed = parse_uri(uri)
        if parsed is None:
            raise resource_not_found(uri, ctx.protocol_version)
        try:
            document = await self._document(self._service_for(ctx), parsed)
        except _NOT_FOUND as error:
            raise resource_not_found(uri, ctx.protocol_version) from error
        except StoreError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        if document is None:
            raise resource_not_found(uri, ctx.protocol_version)
        return document

    async def _document(self, service: SessionService, uri: ResourceUri) -> tuple[str, str] | None:
        match uri:
            case SessionUri(session_id=session_id):
                return MARKDOWN, transcript_document(await service.summary(session_id))
            case StepUri(session_id=session_id, number=number):
                steps = (await service.summary(session_id)).state.steps
                return (JSON, step_document(session_id, steps[number])) if number < len(steps) else None
            case AgentUri(name=name):
                return MARKDOWN, agent_document(await self._cards.card(name))


def resource_templates() -> list[ResourceTemplate]:
    """Every kind of resource, whose variables `completion/complete` completes."""
    return [
        ResourceTemplate(
            name="session",
            title="Session transcript",
            uri_template=SESSION_TEMPLATE,
            description="The transcript of an agent session: messages, steps, tool calls and results.",
            mime_type=MARKDOWN,
            annotations=Annotations(priority=0.5),
        ),
        ResourceTemplate(
            name="step",
            title="Session step",
            uri_template=STEP_TEMPLATE,
            description="One step of a session, counted from 0, with whole tool arguments and results.",
            mime_type=JSON,
            annotations=Annotations(priority=0.2),
        ),
        ResourceTemplate(
            name="agent",
            title="Agent",
            uri_template=AGENT_TEMPLATE,
            description="What an agent is for, its limits, and the tools it may use.",
            mime_type=MARKDOWN,
            annotations=Annotations(priority=0.8),
        ),
    ]


def _agent(name: str, description: str) -> Resource:
    return Resource(
        name=name,
        title=f"Agent {name}",
        uri=agent_uri(name),
        description=description or "An agent of the configuration.",
        mime_type=MARKDOWN,
        annotations=Annotations(priority=0.8),
    )


def _session(line: SessionListing, status: SessionStatus) -> Resource:
    agent = f"agent {line.agent}" if line.agent else "no named agent"
    return Resource(
        name=line.id,
        title=line.title or f"Session {line.id}",
        uri=session_uri(line.id),
        description=f"Session {line.id}: {agent}, {status}, {line.turns} turns.",
        mime_type=MARKDOWN,
        annotations=Annotations(
            priority=0.3 if line.closed else 0.5, last_modified=timestamp(line.updated_at)
        ),
    )


def _read_cursor(cursor: str | None) -> tuple[int, str | None]:
    """How many sessions were listed before, and where to go on among them."""
    if cursor is None:
        return 0, None
    shown, colon, rest = cursor.partition(":")
    if not colon or not shown.isdecimal() or not 0 < int(shown) < LISTED_SESSIONS:
        raise _wrong_cursor()
    return int(shown), rest


def _wrong_cursor() -> MCPError:
    return MCPError(code=INVALID_PARAMS, message="cursor: not one that resources/list returned as nextCursor")
