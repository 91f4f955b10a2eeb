"""What a host may ask for besides the tools, put onto a server: resources, the prompt, completion, updates, tasks."""

from typing import Any

from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel import Server
from mcp_types import (
    CallToolRequestParams,
    CompleteRequestParams,
    GetPromptRequestParams,
    ListResourcesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)

from agent_mcp.server.completion import Completions
from agent_mcp.server.principals import principal_of
from agent_mcp.server.prompts import Prompts
from agent_mcp.server.resources import Context, Resources
from agent_mcp.server.tasks import TaskParams, Tasks, UpdateParams
from agent_mcp.server.updates import Updates
from agent_mcp.sessions.cards import AgentCards
from agent_mcp.sessions.service import SessionService

_HOUR_MS = 3_600_000

CACHE_HINTS: dict[CacheableMethod, CacheHint] = {
    "tools/list": CacheHint(ttl_ms=_HOUR_MS, scope="public"),
    "prompts/list": CacheHint(ttl_ms=_HOUR_MS, scope="public"),
    "resources/templates/list": CacheHint(ttl_ms=_HOUR_MS, scope="public"),
    "resources/list": CacheHint(ttl_ms=2_000, scope="private"),
    "resources/read": CacheHint(ttl_ms=0, scope="private"),
}
"""How long a host may hold what it was told (SEP-2549). What stands in the config is the same for all callers."""


def publish(
    server: Server[Any], service: SessionService, cards: AgentCards, *, outside: bool = False
) -> None:
    """Have the server, whose lifespan must be `updates.open_tasks`, answer these requests too.

    `outside`: approvals are not answered by hosts.
    """

    def service_for(ctx: Context) -> SessionService:
        return service.for_principal(principal_of(ctx))

    resources = Resources(service_for, cards)
    prompts, completions = Prompts(cards), Completions(service_for, cards)
    tasks = Tasks(service_for, outside=outside)
    updates = Updates(service_for, resources, cards, tasks)

    async def list_resources(ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        await updates.listed(ctx)
        return await resources.list(ctx, params)

    add = server.add_request_handler
    add("resources/list", PaginatedRequestParams, list_resources)
    add("resources/templates/list", PaginatedRequestParams, resources.templates)
    add("resources/read", ReadResourceRequestParams, resources.read)
    add("resources/subscribe", SubscribeRequestParams, updates.subscribe)
    add("resources/unsubscribe", UnsubscribeRequestParams, updates.unsubscribe)
    add("subscriptions/listen", SubscriptionsListenRequestParams, updates.listen)
    add("prompts/list", PaginatedRequestParams, prompts.list)
    add("prompts/get", GetPromptRequestParams, prompts.get)
    add("completion/complete", CompleteRequestParams, completions.complete)
    add("tasks/get", TaskParams, tasks.get)
    add("tasks/update", UpdateParams, tasks.update)
    add("tasks/cancel", TaskParams, tasks.cancel)
    call_tool = server.get_request_handler("tools/call")
    if call_tool is not None:
        add("tools/call", CallToolRequestParams, tasks.around(call_tool.handler))
