"""OpenAI models over the Responses API, streamed and stateless: the whole history goes with each request.

Encrypted reasoning and every other output item go back as they came. Wire format: Responses API, as in the SDK's
types (openai 3.54).
"""

from collections.abc import Mapping
from typing import Any

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import (
    Media,
    Message,
    Reply,
    Text,
    Thinking,
    ToolResult,
    ToolResults,
    UserMessage,
)
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.agent.tools import Tool
from agent_mcp.models.openai_client import OpenAiClient, open_client
from agent_mcp.models.openai_responses_reply import ResponsesReply
from agent_mcp.models.rendering import (
    NO_TEXT,
    Fragments,
    ToolFragments,
    call_ids,
    encode,
    join_object,
    note_of,
    object_schema,
    output_limit,
    quote,
    result_text,
    to_json,
)
from agent_mcp.models.soundness import finished
from agent_mcp.models.streaming import read_stream
from agent_mcp.models.target import WIRES, Target

__all__ = ["OpenAiResponsesModel", "make_model", "open_client"]

_WIRE = WIRES["openai"]
_PDF = "application/pdf"


class OpenAiResponsesModel:
    """A model behind the Responses API."""

    def __init__(self, client: OpenAiClient, target: Target) -> None:
        self._client = client
        self._target = target
        self._items = Fragments(_render)
        self._tools = ToolFragments(_render_tool)

    @property
    def wire(self) -> str:
        """`openai-responses`."""
        return _WIRE

    @property
    def name(self) -> str:
        """The model's name."""
        return self._target.model

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port."""
        reply = ResponsesReply(self._target, emit)
        response = await self._client.send("/responses", self._body(request), self._target)
        await read_stream(response, reply.take, place=self._target.place)
        return finished(reply.finish, place=self._target.place)

    def _body(self, request: ModelRequest) -> bytes:
        target = self._target
        fields: dict[str, bytes] = {
            "model": encode(quote(target.model)),
            "stream": b"true",
            "store": b"false",
            "include": b'["reasoning.encrypted_content"]',
        }
        if request.session_id:
            fields["prompt_cache_key"] = encode(quote(request.session_id))
        if (limit := output_limit(target.max_output_tokens, request.max_output_tokens)) is not None:
            fields["max_output_tokens"] = b"%d" % limit
        if request.system:
            fields["instructions"] = encode(quote(request.system))
        if request.tools:
            fields["tools"] = self._tools.of(request.tools)
            if request.tool_choice == "none":
                fields["tool_choice"] = b'"none"'
        fields |= {name: encode(to_json(value)) for name, value in target.extra.items()}
        fragments = [fragment for _, fragment in self._items.of(request.history)]
        fields["input"] = b"[%b]" % b",".join(fragments)
        return join_object(fields)


def make_model(client: OpenAiClient, target: Target) -> OpenAiResponsesModel:
    """The target's model."""
    return OpenAiResponsesModel(client, target)


def _render(message: Message, asked: Reply | None) -> bytes:
    """The message's items, without brackets; never none."""
    match message:
        case UserMessage():
            return encode(f'{{"role":"user","content":{_user_content(message)}}}')
        case ToolResults():
            ids = call_ids(asked, _WIRE)
            return encode(",".join(_render_result(result, ids) for result in message.results))
        case Reply():
            if message.blocks and message.wire == _WIRE:
                return encode(message.blocks[1:-1])
            return encode(",".join(_render_reply(message)))


def _user_content(message: UserMessage) -> str:
    if not message.media:
        return quote(message.text)
    text = {"type": "input_text", "text": message.text}
    return to_json([text, *(_media_part(media) for media in message.media)])


def _render_reply(reply: Reply) -> list[str]:
    """From the neutral parts. Reasoning is left out: it was made for another wire, or with other tools."""
    ids = call_ids(reply, _WIRE)
    items: list[str] = []
    for part in reply.parts:
        match part:
            case Text():
                if part.text.strip():
                    items.append(_message(part.text))
            case Thinking():
                continue
            case _:
                arguments = quote(to_json(part.arguments or {}))
                head = f'{{"type":"function_call","call_id":{quote(ids[part.id])},"name":{quote(part.name)}'
                items.append(f'{head},"arguments":{arguments}}}')
    return items or [_message(NO_TEXT)]


def _message(text: str) -> str:
    return f'{{"role":"assistant","content":{quote(text)}}}'


def _render_result(result: ToolResult, ids: Mapping[str, str]) -> str:
    call_id = quote(ids.get(result.call_id, result.call_id))
    return f'{{"type":"function_call_output","call_id":{call_id},"output":{_render_output(result)}}}'


def _render_output(result: ToolResult) -> str:
    """A plain string where all is text, which every server takes; else a list of content parts."""
    if all(isinstance(part, Text) for part in result.content):
        return quote(result_text(result.text, result))
    parts: list[dict[str, Any]] = []
    for part in result.content:
        if isinstance(part, Text):
            parts.append({"type": "input_text", "text": result_text(part.text, result)})
        else:
            parts.append(_media_part(part))
    return to_json(parts)


def _media_part(media: Media) -> dict[str, Any]:
    url = f"data:{media.mime_type};base64,{media.data}"
    if media.mime_type.startswith("image/"):
        return {"type": "input_image", "image_url": url}
    if media.mime_type == _PDF:
        return {"type": "input_file", "filename": "result.pdf", "file_data": url}
    return {"type": "input_text", "text": note_of(media)}


def _render_tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": object_schema(tool.input_schema),
        # Strict schemas are a subset of JSON Schema that foreign servers don't keep to.
        "strict": False,
    }
