"""Adds the suite's tools, resources and prompts to a server of ours, before its own handlers.

What the suite does not name goes on to our handlers, and all around them is ours in any case: transport, eras,
capabilities, subscriptions, sealed state, cache hints, errors.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import RequestHandler
from pydantic import BaseModel

from agent_mcp.server.app import McpServer
from agent_mcp.server.tasks import TaskParams, UpdateParams
from tests.conformance.contents import PNG, SCHEMAS, TOOLS, embedded
from tests.conformance.rounds import ROUNDS, asking_prompt
from tests.conformance.turns import TURNS, call_turn, getting, updating

Context = ServerRequestContext[Any, Any]

_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
_STATIC_TEXT = "This is the content of the static text resource."
_TEMPLATE = "test://template/{id}/data"
_ASKING_PROMPT = "test_input_required_result_prompt"


def add_fixtures(server: McpServer) -> None:
    """Have the server serve the suite's fixtures too."""
    _add_tools(server)
    _add_resources(server)
    _add_prompts(server)
    _add_subscriptions(server)
    server.add_request_handler("tasks/get", TaskParams, getting(_ours(server, "tasks/get")))
    server.add_request_handler("tasks/update", UpdateParams, updating(_ours(server, "tasks/update")))
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, _nothing)


def _ours(server: McpServer, method: str) -> RequestHandler[Any, Any]:
    entry = server.get_request_handler(method)
    assert entry is not None, f"our server does not answer {method}"
    return entry.handler


async def _nothing(ctx: Context, params: BaseModel) -> types.EmptyResult:
    return types.EmptyResult()


def _tool(name: str) -> types.Tool:
    schema = SCHEMAS.get(name, _NO_ARGUMENTS)
    return types.Tool(name=name, description="A fixture of the conformance suite.", input_schema=schema)


def _add_tools(server: McpServer) -> None:
    list_ours = _ours(server, "tools/list")
    call_ours = _ours(server, "tools/call")
    schema_of_ours = server.get_tool_input_schema
    assert schema_of_ours is not None

    async def list_tools(ctx: Context, params: types.PaginatedRequestParams) -> types.ListToolsResult:
        ours = cast("types.ListToolsResult", await list_ours(ctx, params))
        return types.ListToolsResult(tools=[*ours.tools, *map(_tool, [*TOOLS, *ROUNDS, *TURNS])])

    async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> Any:
        if fixture := TOOLS.get(params.name):
            return await fixture(ctx, params.arguments or {})
        if round_trip := ROUNDS.get(params.name):
            return round_trip(ctx, params)
        if params.name in TURNS:
            return await call_turn(ctx, params, call_ours)
        return await call_ours(ctx, params)

    def schema(name: str) -> Mapping[str, Any] | None:
        return SCHEMAS.get(name) or schema_of_ours(name)

    server.add_request_handler("tools/list", types.PaginatedRequestParams, list_tools)
    server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
    server.get_tool_input_schema = schema


def _add_resources(server: McpServer) -> None:
    list_ours = _ours(server, "resources/list")
    templates_of_ours = _ours(server, "resources/templates/list")
    read_ours = _ours(server, "resources/read")

    async def list_resources(ctx: Context, params: types.PaginatedRequestParams) -> types.ListResourcesResult:
        ours = cast("types.ListResourcesResult", await list_ours(ctx, params))
        names = ("static-text", "static-binary", "watched-resource")
        fixtures = [
            types.Resource(name=name, uri=f"test://{name}", description="A fixture.") for name in names
        ]
        return ours.model_copy(update={"resources": [*ours.resources, *fixtures]})

    async def list_templates(
        ctx: Context, params: types.PaginatedRequestParams
    ) -> types.ListResourceTemplatesResult:
        ours = cast("types.ListResourceTemplatesResult", await templates_of_ours(ctx, params))
        fixture = types.ResourceTemplate(name="test", uri_template=_TEMPLATE, description="A fixture.")
        return types.ListResourceTemplatesResult(resource_templates=[*ours.resource_templates, fixture])

    async def read(ctx: Context, params: types.ReadResourceRequestParams) -> Any:
        contents = _contents(str(params.uri))
        if contents is None:
            return await read_ours(ctx, params)
        return types.ReadResourceResult(contents=[contents])

    server.add_request_handler("resources/list", types.PaginatedRequestParams, list_resources)
    server.add_request_handler("resources/templates/list", types.PaginatedRequestParams, list_templates)
    server.add_request_handler("resources/read", types.ReadResourceRequestParams, read)


def _contents(uri: str) -> types.TextResourceContents | types.BlobResourceContents | None:
    match uri.removeprefix("test://").split("/"):
        case ["static-text"]:
            return types.TextResourceContents(uri=uri, mime_type="text/plain", text=_STATIC_TEXT)
        case ["static-binary"]:
            return types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
        case ["template", number, "data"]:
            data = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
            return types.TextResourceContents(uri=uri, mime_type="application/json", text=data)
        case _:
            return None


def _add_prompts(server: McpServer) -> None:
    list_ours = _ours(server, "prompts/list")
    get_ours = _ours(server, "prompts/get")
    complete_ours = _ours(server, "completion/complete")

    async def list_prompts(ctx: Context, params: types.PaginatedRequestParams) -> types.ListPromptsResult:
        ours = cast("types.ListPromptsResult", await list_ours(ctx, params))
        names = [*_PROMPT_ARGUMENTS, _ASKING_PROMPT]
        return types.ListPromptsResult(prompts=[*ours.prompts, *map(_prompt, names)])

    async def get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> Any:
        if params.name == _ASKING_PROMPT:
            return asking_prompt(params)
        if params.name in _PROMPT_ARGUMENTS:
            contents = _prompt_contents(params.name, params.arguments or {})
            messages = [types.PromptMessage(role="user", content=content) for content in contents]
            return types.GetPromptResult(messages=messages)
        return await get_ours(ctx, params)

    async def complete(ctx: Context, params: types.CompleteRequestParams) -> Any:
        if isinstance(params.ref, types.PromptReference) and params.ref.name in _PROMPT_ARGUMENTS:
            return types.CompleteResult(completion=types.Completion(values=["paris", "park", "party"]))
        return await complete_ours(ctx, params)

    server.add_request_handler("prompts/list", types.PaginatedRequestParams, list_prompts)
    server.add_request_handler("prompts/get", types.GetPromptRequestParams, get_prompt)
    server.add_request_handler("completion/complete", types.CompleteRequestParams, complete)


_PROMPT_ARGUMENTS = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
}


def _prompt(name: str) -> types.Prompt:
    arguments = [types.PromptArgument(name=one, required=True) for one in _PROMPT_ARGUMENTS.get(name, ())]
    return types.Prompt(name=name, description="A fixture of the conformance suite.", arguments=arguments)


def _prompt_contents(name: str, given: dict[str, str]) -> list[types.ContentBlock]:
    match name:
        case "test_simple_prompt":
            return [_text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            return [_text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'")]
        case "test_prompt_with_image":
            image = types.ImageContent(type="image", data=PNG, mime_type="image/png")
            return [image, _text("Please analyze the image above.")]
        case _:
            resource = embedded(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
            return [resource, _text("Please process the embedded resource above.")]


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _add_subscriptions(server: McpServer) -> None:
    """The suite subscribes to a resource of its own, which never changes."""
    subscribe_ours = _ours(server, "resources/subscribe")

    async def subscribe(ctx: Context, params: types.SubscribeRequestParams) -> Any:
        if str(params.uri).startswith("test://"):
            return types.EmptyResult()
        return await subscribe_ours(ctx, params)

    server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, subscribe)
