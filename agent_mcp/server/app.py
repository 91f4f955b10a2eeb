"""The MCP server itself, on the SDK's low-level `Server`: both protocol eras from the same handlers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    ServerCapabilities,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request

from agent_mcp import version
from agent_mcp.config.schema import ServerSettings
from agent_mcp.server.asking import asker_for, retry_of
from agent_mcp.server.catalogue import published_tools
from agent_mcp.server.hosts import host_wait
from agent_mcp.server.icons import ICON
from agent_mcp.server.instructions import instructions
from agent_mcp.server.presence import is_gone, when_sent
from agent_mcp.server.principals import principal_of
from agent_mcp.server.progress import Report
from agent_mcp.server.publish import CACHE_HINTS
from agent_mcp.server.relaying import channel_for
from agent_mcp.server.tasks import EXTENSION, SOON, takes_tasks
from agent_mcp.server.tools import Caller, Notify, PublishedTools
from agent_mcp.server.updates import open_tasks
from agent_mcp.sessions.chain import allowance_of, ancestry_of, call_key_of

Context = ServerRequestContext[Any, Any]
Listed = Callable[[], None]


class McpServer(Server[Any]):
    """The SDK's server, honest about what changes while it runs: the list of resources, and no other.

    The SDK would say of all lists that they change in the newer era, and that none does in the older.
    """

    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> ServerCapabilities:
        """What `initialize` and `server/discover` answer."""
        capabilities = super().get_capabilities(
            notification_options, experimental_capabilities, extensions, protocol_version=protocol_version
        )
        fixed = {"list_changed": False}
        return capabilities.model_copy(
            update={
                "tools": capabilities.tools and capabilities.tools.model_copy(update=fixed),
                "prompts": capabilities.prompts and capabilities.prompts.model_copy(update=fixed),
                "resources": capabilities.resources
                and capabilities.resources.model_copy(update={"list_changed": True}),
                # Extensions came with the newer era; what the older one had under this name was another thing.
                "extensions": {EXTENSION: {}} if protocol_version in MODERN_PROTOCOL_VERSIONS else None,
            }
        )


def build_server(
    tools: PublishedTools,
    *,
    settings: ServerSettings,
    state_keys: Sequence[bytes] = (),
    agents: Mapping[str, str] | None = None,
    listed: Listed,
    notify: Notify | None = None,
) -> McpServer:
    """The server. `agents`: names and descriptions, for the instructions; `state_keys` are shared by its replicas;
    `listed` is told of each tool listing, `notify` of calls that nobody could be asked about.
    """
    catalogue = {tool.name: tool for tool in published_tools()}

    async def list_tools(ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        listed()
        return ListToolsResult(tools=list(catalogue.values()))

    async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        if params.name not in catalogue:
            text = f"Unknown tool {params.name!r}. Known: {', '.join(sorted(catalogue))}."
            return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
        meta: Mapping[str, Any] = ctx.meta or {}
        own = tools.for_principal(principal_of(ctx), ancestry=ancestry_of(meta), allowance=allowance_of(meta))
        return await own.call(params.name, params.arguments or {}, _caller(ctx, params, settings, notify))

    def schema(name: str) -> dict[str, Any] | None:
        return catalogue[name].input_schema if name in catalogue else None

    server = McpServer(
        "agent-mcp",
        version=version(),
        title="Agent sessions",
        instructions=instructions(agents or {}),
        icons=[ICON],
        cache_hints=CACHE_HINTS,
        lifespan=open_tasks,
        get_tool_input_schema=schema,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    sealing = RequestStateSecurity(keys=state_keys) if state_keys else RequestStateSecurity.ephemeral()
    server.middleware.append(RequestStateBoundary(sealing, default_audience=server.name))
    return server


def _caller(
    ctx: Context, params: CallToolRequestParams, settings: ServerSettings, notify: Notify | None
) -> Caller:
    client = ctx.session.client_params
    name = client.client_info.name if client is not None else None
    # Whoever takes tasks need not wait in the call, and is asked by the task.
    in_task = takes_tasks(ctx)
    outside = settings.approvals == "outside"
    asker = None if outside else asker_for(ctx)
    # Over HTTP the person may sit anywhere but at this machine.
    here = settings.notify and not isinstance(ctx.request, Request) and not (in_task and asker is not None)
    return Caller(
        wait=SOON if in_task else host_wait(name, settings),
        report=_report(ctx),
        asker=None if in_task else asker,
        notify=notify if here else None,
        outside=outside,
        channel=None if in_task else channel_for(ctx),
        retry=retry_of(params),
        is_gone=partial(is_gone, ctx),
        when_sent=partial(when_sent, ctx),
        call_key=call_key_of(ctx.meta or {}),
        wants_bill=bool(ancestry_of(ctx.meta or {})),
    )


def _report(ctx: Context) -> Report | None:
    meta: Mapping[str, Any] = ctx.meta or {}
    if meta.get("progress_token", meta.get("progressToken")) is None:
        return None
    send: Callable[[float, float | None, str | None], Awaitable[None]] = ctx.session.report_progress
    return send
