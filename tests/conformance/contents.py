"""The suite's fixtures that say something: content of every kind, progress, logs, and questions of the old era.

Each does what the suite's scenario of the same name describes; none has to do with our sessions.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

Context = ServerRequestContext[Any, Any]
Arguments = Mapping[str, Any]
Fixture = Callable[[Context, Arguments], Awaitable[types.CallToolResult]]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="


def text_result(text: str, *, is_error: bool = False) -> types.CallToolResult:
    """A result of text alone."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)


def embedded(uri: str, mime_type: str, text: str) -> types.EmbeddedResource:
    """A resource within a result or a prompt."""
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return types.EmbeddedResource(type="resource", resource=contents)


async def simple_text(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-simple-text"""
    return text_result("This is a simple text response for testing.")


async def image(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-image"""
    return types.CallToolResult(content=[types.ImageContent(type="image", data=PNG, mime_type="image/png")])


async def audio(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-audio"""
    return types.CallToolResult(content=[types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")])


async def embedded_resource(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-embedded-resource"""
    content = embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    return types.CallToolResult(content=[content])


async def multiple_content_types(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-mixed-content"""
    return types.CallToolResult(
        content=[
            types.TextContent(type="text", text="Multiple content types test:"),
            types.ImageContent(type="image", data=PNG, mime_type="image/png"),
            embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ]
    )


async def error_handling(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-error"""
    return text_result("This tool intentionally returns an error for testing", is_error=True)


async def with_progress(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-with-progress"""
    for progress in (0, 50, 100):
        await ctx.session.report_progress(progress, 100, f"Completed step {progress} of 100")
        await anyio.sleep(0.05)
    return text_result("Progress was reported.")


async def with_logging(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-with-logging; in the newer era nothing may be sent unless the request asks for it."""
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        # The suite for the older revision demands what the newer one deprecates.
        await ctx.session.send_log_message(  # pyright: ignore[reportDeprecated] see above
            "info", line, related_request_id=ctx.request_id
        )
        await anyio.sleep(0.05)
    return text_result("Logs were sent.")


async def sampling(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-sampling"""
    message = types.SamplingMessage(
        role="user", content=types.TextContent(type="text", text=arguments["prompt"])
    )
    # The suite for the older revision demands what the newer one deprecates.
    answer = await ctx.session.create_message(  # pyright: ignore[reportDeprecated] see above
        [message], max_tokens=100, related_request_id=ctx.request_id
    )
    said = answer.content.text if isinstance(answer.content, types.TextContent) else ""
    return text_result(f"LLM response: {said}")


async def elicitation(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """tools-call-elicitation"""
    properties = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return await _elicited(ctx, arguments["message"], properties, required=list(properties))


async def elicitation_defaults(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """elicitation-sep1034-defaults"""
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return await _elicited(ctx, "Please provide user information", properties)


async def elicitation_enums(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """elicitation-sep1330-enums"""
    titled = [{"const": "value1", "title": "First Option"}, {"const": "value2", "title": "Second Option"}]
    plain = ["option1", "option2", "option3"]
    properties = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return await _elicited(ctx, "Please select", properties)


async def _elicited(
    ctx: Context, message: str, properties: dict[str, Any], *, required: list[str] | None = None
) -> types.CallToolResult:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required or []}
    result = await ctx.session.elicit_form(message, schema, ctx.request_id)
    return text_result(f"Elicitation completed: action={result.action}, content={result.content}")


async def missing_capability(ctx: Context, arguments: Arguments) -> types.CallToolResult:
    """server-stateless: needs what the client must have declared."""
    declared = ctx.session.client_capabilities
    if declared is None or declared.sampling is None:
        raise MCPError(
            code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="This tool needs sampling.",
            data={"requiredCapabilities": {"sampling": {}}},
        )
    return text_result("Sampling is there.")


TOOLS: dict[str, Fixture] = {
    "test_simple_text": simple_text,
    "test_image_content": image,
    "test_audio_content": audio,
    "test_embedded_resource": embedded_resource,
    "test_multiple_content_types": multiple_content_types,
    "test_error_handling": error_handling,
    "test_tool_with_progress": with_progress,
    "test_tool_with_logging": with_logging,
    "test_logging_tool": with_logging,
    "test_streaming_elicitation": with_progress,
    "test_sampling": sampling,
    "test_elicitation": elicitation,
    "test_elicitation_sep1034_defaults": elicitation_defaults,
    "test_elicitation_sep1330_enums": elicitation_enums,
    "test_missing_capability": missing_capability,
    "json_schema_2020_12_tool": simple_text,
    "test_custom_headers": simple_text,
}
"""By the names that the suite calls."""

_STRING = {"type": "string"}
SCHEMAS: dict[str, dict[str, Any]] = {
    "test_sampling": {"type": "object", "properties": {"prompt": _STRING}, "required": ["prompt"]},
    "test_elicitation": {"type": "object", "properties": {"message": _STRING}, "required": ["message"]},
    "test_custom_headers": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
    "json_schema_2020_12_tool": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": _STRING, "city": _STRING},
            }
        },
        "properties": {
            "name": _STRING,
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": _STRING,
            "email": _STRING,
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
}
"""Of those that take arguments."""
