"""Claude over the Messages API, streamed. The only file that knows the anthropic SDK.

The SDK sends our ready-made bytes and hands back the raw response; the typed helpers are left aside, since they walk
the whole history (requests) and build an object of each event (replies). Wire format: Messages API, version
2026-10-21, as in the SDK's types.
"""

from collections.abc import Mapping
from typing import Any

import anthropic
import httpx2

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
from agent_mcp.errors import ModelError, TransientModelError
from agent_mcp.models.anthropic_reply import AnthropicReply
from agent_mcp.models.faults import refusal_from_body
from agent_mcp.models.rendering import (
    NO_OUTPUT,
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
    to_json,
)
from agent_mcp.models.soundness import finished
from agent_mcp.models.streaming import describe, read_stream, timeout_of
from agent_mcp.models.target import WIRES, Target

_WIRE = WIRES["anthropic"]
_MAX_OUTPUT_TOKENS = 32_000
"""The API demands a limit; every current Claude model allows at least this much."""
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_DOCUMENT_TYPES = frozenset({"application/pdf"})


class AnthropicClient:
    """One SDK client."""

    def __init__(self, target: Target, read_timeout_seconds: float) -> None:
        self._sdk = anthropic.AsyncAnthropic(
            api_key=target.api_key,
            base_url=target.base_url,
            default_headers=dict(target.headers),
            timeout=timeout_of(read_timeout_seconds),
            max_retries=0,
        )

    async def send(self, body: bytes, target: Target) -> httpx2.Response:
        """Send a request; the response's stream is unread.

        Raises:
            ModelError: by what the provider answered, see `faults`.
        """
        try:
            return await self._sdk.post(
                "/v1/messages",
                content=body,
                cast_to=httpx2.Response,
                stream=True,
                stream_cls=anthropic.AsyncStream[Any],
                # It may lead the conversation and the config's headers to another host.
                options={"follow_redirects": False},
            )  # pyright: ignore[reportReturnType]  (a raw response whatever stream_cls says: see _process_response)
        except anthropic.APIStatusError as error:
            # Not chained: the SDK's error holds the whole answer, which may repeat the key.
            raise _refused(error, target) from None
        except anthropic.APIConnectionError as error:
            reason = target.without_secrets(describe(error))
            raise TransientModelError(f"{target.place} can't be reached: {reason}") from error

    async def aclose(self) -> None:
        """Close its connections."""
        await self._sdk.close()


def _refused(error: anthropic.APIStatusError, target: Target) -> ModelError:
    refusal = refusal_from_body(
        error.body, fallback=error.message, status=error.status_code, headers=error.response.headers
    )
    return refusal.to_error(place=target.place, hide=target.without_secrets, key_variable=target.key_variable)


class AnthropicModel:
    """A model behind the Messages API."""

    def __init__(self, client: AnthropicClient, target: Target) -> None:
        self._client = client
        self._target = target
        self._messages = Fragments(_render)
        self._tools = ToolFragments(_render_tool)

    @property
    def wire(self) -> str:
        """`anthropic`."""
        return _WIRE

    @property
    def name(self) -> str:
        """The model's name."""
        return self._target.model

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port."""
        reply = AnthropicReply(self._target, emit)
        response = await self._client.send(self._body(request), self._target)
        await read_stream(response, reply.take, place=self._target.place)
        return finished(reply.finish, place=self._target.place)

    def _body(self, request: ModelRequest) -> bytes:
        target = self._target
        most = target.max_output_tokens or _MAX_OUTPUT_TOKENS
        fields: dict[str, bytes] = {
            "model": encode(quote(target.model)),
            "max_tokens": b"%d" % output_limit(most, request.max_output_tokens),
            "stream": b"true",
            # Caches up to the last block, wherever that is, without a mark inside the messages.
            "cache_control": b'{"type":"ephemeral"}',
        }
        if request.system:
            fields["system"] = encode(quote(request.system))
        if request.tools:
            fields["tools"] = self._tools.of(request.tools)
            if request.tool_choice == "none":
                fields["tool_choice"] = b'{"type":"none"}'
        fields |= {name: encode(to_json(value)) for name, value in target.extra.items()}
        fields["messages"] = self._history(request)
        return join_object(fields)

    def _history(self, request: ModelRequest) -> bytes:
        """The messages; what lies between two replies is one user message, results before text."""
        messages: list[bytes] = []
        results: list[bytes] = []
        texts: list[bytes] = []
        for message, fragment in self._messages.of(request.history):
            if not isinstance(message, Reply):
                (results if isinstance(message, ToolResults) else texts).append(fragment)
                continue
            _flush(messages, results, texts)
            messages.append(b'{"role":"assistant","content":%b}' % fragment)
        _flush(messages, results, texts)
        return b"[%b]" % b",".join(messages)


def open_client(target: Target, read_timeout_seconds: float) -> AnthropicClient:
    """A client for the target's address and key."""
    return AnthropicClient(target, read_timeout_seconds)


def make_model(client: AnthropicClient, target: Target) -> AnthropicModel:
    """The target's model."""
    return AnthropicModel(client, target)


def _flush(messages: list[bytes], results: list[bytes], texts: list[bytes]) -> None:
    if results or texts:
        messages.append(b'{"role":"user","content":[%b]}' % b",".join([*results, *texts]))
    results.clear()
    texts.clear()


def _render(message: Message, asked: Reply | None) -> bytes:
    """Of a reply the whole content array, of anything else its blocks without brackets."""
    match message:
        case UserMessage():
            media = [_render_content(part, is_error=False) for part in message.media]
            return encode(",".join([*media, _text_block(_not_blank(message.text))]))
        case ToolResults():
            ids = call_ids(asked, _WIRE)
            return encode(",".join(_render_result(result, ids) for result in message.results))
        case Reply():
            return encode(
                message.blocks if message.blocks and message.wire == _WIRE else _render_reply(message)
            )


def _render_reply(reply: Reply) -> str:
    """From the neutral parts. Thinking is left out: it was signed for another wire, or for other tools."""
    ids = call_ids(reply, _WIRE)
    blocks: list[dict[str, Any]] = []
    for part in reply.parts:
        match part:
            case Text():
                if part.text.strip():
                    blocks.append({"type": "text", "text": part.text})
            case Thinking():
                continue
            case _:
                block = {"type": "tool_use", "id": ids[part.id], "name": part.name}
                blocks.append({**block, "input": part.arguments or {}})
    return to_json(blocks or [{"type": "text", "text": NO_TEXT}])


def _render_result(result: ToolResult, ids: Mapping[str, str]) -> str:
    head = (
        f'{{"type":"tool_result","tool_use_id":{quote(ids.get(result.call_id, result.call_id))},"content":['
    )
    blocks = [_render_content(part, is_error=result.is_error) for part in result.content]
    shown = [block for block in blocks if block] or [_text_block(NO_OUTPUT)]
    return head + ",".join(shown) + ('],"is_error":true}' if result.is_error else "]}")


def _render_content(part: Text | Media, *, is_error: bool) -> str:
    """A content block; empty for an empty text, which the API refuses. A failed result may hold text only."""
    if isinstance(part, Text):
        return _text_block(part.text) if part.text.strip() else ""
    kind = (
        "image" if part.mime_type in _IMAGE_TYPES else "document" if part.mime_type in _DOCUMENT_TYPES else ""
    )
    if is_error or not kind:
        return _text_block(note_of(part))
    source = {"type": "base64", "media_type": part.mime_type, "data": part.data}
    return to_json({"type": kind, "source": source})


def _text_block(text: str) -> str:
    return f'{{"type":"text","text":{quote(text)}}}'


def _not_blank(text: str) -> str:
    return text if text.strip() else NO_TEXT


def _render_tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": object_schema(tool.input_schema),
    }
