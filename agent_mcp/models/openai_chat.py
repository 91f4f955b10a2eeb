"""Any server that speaks Chat Completions (Ollama, vLLM, LM Studio, OpenAI itself), streamed.

Assistant messages are made of the neutral parts alone: the vendors' reasoning fields are not sent back. Wire format:
Chat Completions API, as in the SDK's types (openai 3.54).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import (
    Media,
    Message,
    Reply,
    Text,
    ToolCall,
    ToolResult,
    ToolResults,
    UserMessage,
)
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.agent.tools import Tool
from agent_mcp.models.openai_chat_reply import ChatReply
from agent_mcp.models.openai_client import OpenAiClient, open_client
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

__all__ = ["OpenAiChatModel", "make_model", "open_client"]

_WIRE = WIRES["openai-chat"]


class OpenAiChatModel:
    """A model behind Chat Completions."""

    def __init__(self, client: OpenAiClient, target: Target) -> None:
        self._client = client
        self._target = target
        self._messages = Fragments(_render)
        self._tools = ToolFragments(_render_tool)

    @property
    def wire(self) -> str:
        """`openai-chat`."""
        return _WIRE

    @property
    def name(self) -> str:
        """The model's name."""
        return self._target.model

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port."""
        reply = ChatReply(self._target, emit)
        response = await self._client.send("/chat/completions", self._body(request), self._target)
        await read_stream(response, reply.take, place=self._target.place)
        whole = finished(reply.finish, place=self._target.place)
        # Rendering all calls of a long history anew, after a restart, takes twice the time of the rest.
        return replace(whole, blocks=f"[{_render_reply(whole)}]")

    def _body(self, request: ModelRequest) -> bytes:
        target = self._target
        fields: dict[str, bytes] = {
            "model": encode(quote(target.model)),
            "stream": b"true",
            "stream_options": b'{"include_usage":true}',
        }
        if (limit := output_limit(target.max_output_tokens, request.max_output_tokens)) is not None:
            # OpenAI's reasoning models refuse the old name; many compatible servers don't know the new one.
            name = "max_completion_tokens" if target.is_openai_itself else "max_tokens"
            fields[name] = b"%d" % limit
        if request.tools:
            fields["tools"] = self._tools.of(request.tools)
            if request.tool_choice == "none":
                fields["tool_choice"] = b'"none"'
        fields |= {name: encode(to_json(value)) for name, value in target.extra.items()}
        system = [encode(f'{{"role":"system","content":{quote(request.system)}}}')] if request.system else []
        fields["messages"] = b"[%b]" % b",".join([*system, *self._history(request.history)])
        return join_object(fields)

    def _history(self, history: Sequence[Message]) -> list[bytes]:
        """The messages; what the user says in a row is one, since chat templates of many local models demand that
        user and assistant take turns."""
        messages: list[bytes] = []
        said: list[bytes] = []
        for message, fragment in self._messages.of(history):
            if _is_text_of_user(message):
                said.append(fragment)
                continue
            _flush(messages, said)
            messages.append(fragment)
        _flush(messages, said)
        return messages


def make_model(client: OpenAiClient, target: Target) -> OpenAiChatModel:
    """The target's model."""
    return OpenAiChatModel(client, target)


def _is_text_of_user(message: Message) -> bool:
    return isinstance(message, UserMessage) and not message.media


def _flush(messages: list[bytes], said: list[bytes]) -> None:
    if said:
        texts = rb"\n\n".join(text[1:-1] for text in said)
        messages.append(b'{"role":"user","content":"%b"}' % texts)
    said.clear()


def _render(message: Message, asked: Reply | None) -> bytes:
    """The message's messages, without brackets, never none; of a user's plain text the quoted text."""
    match message:
        case UserMessage() if not message.media:
            return encode(quote(message.text))
        case UserMessage():
            return encode(f'{{"role":"user","content":{_user_content(message)}}}')
        case ToolResults():
            return encode(_render_results(message, call_ids(asked, _WIRE)))
        case Reply():
            own = message.blocks and message.wire == _WIRE
            return encode(message.blocks[1:-1] if own else _render_reply(message))


def _user_content(message: UserMessage) -> str:
    notes = [note_of(media) for media in message.media if not _is_image(media)]
    text: dict[str, Any] = {"type": "text", "text": "\n".join([message.text, *notes])}
    return to_json([text, *(_image_part(media) for media in message.media if _is_image(media))])


def _render_reply(reply: Reply) -> str:
    ids = call_ids(reply, _WIRE)
    calls = ",".join(_render_call(call, ids[call.id]) for call in reply.tool_calls)
    text = reply.text
    if not calls:
        return f'{{"role":"assistant","content":{quote(text if text.strip() else NO_TEXT)}}}'
    content = quote(text) if text else "null"
    return f'{{"role":"assistant","content":{content},"tool_calls":[{calls}]}}'


def _render_call(call: ToolCall, call_id: str) -> str:
    function = f'{{"name":{quote(call.name)},"arguments":{quote(to_json(call.arguments or {}))}}}'
    return f'{{"id":{quote(call_id)},"type":"function","function":{function}}}'


def _render_results(results: ToolResults, ids: Mapping[str, str]) -> str:
    """A message for each result, then one of the user's with their images: a tool's message holds text only."""
    messages = [_render_result(result, ids.get(result.call_id, result.call_id)) for result in results.results]
    parts = [part for result in results.results for part in _image_parts(result)]
    if parts:
        messages.append(to_json({"role": "user", "content": parts}))
    return ",".join(messages)


def _render_result(result: ToolResult, call_id: str) -> str:
    texts = [part.text if isinstance(part, Text) else _media_note(part) for part in result.content]
    text = result_text("\n".join(texts), result)
    return f'{{"role":"tool","tool_call_id":{quote(call_id)},"content":{quote(text)}}}'


def _media_note(media: Media) -> str:
    return f"[{media.mime_type}: see the next message]" if _is_image(media) else note_of(media)


def _image_parts(result: ToolResult) -> list[dict[str, Any]]:
    images = [part for part in result.content if isinstance(part, Media) and _is_image(part)]
    parts = [_image_part(image) for image in images]
    return [{"type": "text", "text": "From the tool results above:"}, *parts] if parts else []


def _image_part(image: Media) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{image.mime_type};base64,{image.data}"}}


def _is_image(media: Media) -> bool:
    return media.mime_type.startswith("image/")


def _render_tool(tool: Tool) -> dict[str, Any]:
    parameters = object_schema(tool.input_schema)
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}
