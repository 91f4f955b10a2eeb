"""Where a server's wishes in the middle of a call are answered: a person's input, a reply of the model, the roots.

From the wire to the neutral forms of `sessions.inquiries` and back, in both eras: requests of the server up to
2025-11-25, `input_required` results from 2026-07-28 on. Who answers is the turn's business. Wire formats:
https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation (and /sampling, /roots)
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from agent_mcp.agent.messages import Media, Reply, Text, UserMessage
from agent_mcp.config.roots import root_uri
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.faults import RpcError
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.inquiries import (
    UNANSWERED,
    InputAnswer,
    Question,
    Refusal,
    SampleReply,
    SampleRequest,
)
from agent_mcp.sessions.patience import Patience
from agent_mcp.sessions.tool_ports import ToolScope

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
REFUSED = -1
"""As the specification has it for sampling that the user rejects."""

MAX_FORM_CHARACTERS = 32_000
"""A longer form is refused: it stands in the log and goes to the host whole."""
ROOTS = "roots/list"


def capabilities_for(entry: ServerEntry) -> JsonObject:
    """What we declare to a server that we can do for it."""
    declared: JsonObject = {"elicitation": {"form": {}, "url": {}}}
    if entry.sampling:
        declared["sampling"] = {}
    if entry.roots:
        declared["roots"] = {}
    return declared


def roots_of(entry: ServerEntry) -> JsonObject:
    """The answer to `roots/list`."""
    return {"roots": [{"uri": root_uri(root)} for root in entry.roots]}


class CallDesk:
    """Answers one server during one call of one session."""

    def __init__(self, call_id: str, scope: ToolScope, entry: ServerEntry) -> None:
        self.owner = scope.session_id
        """For whom the call is made."""
        self.waiting = Patience()
        """Counts the time that a person was waited for."""
        self._call_id = call_id
        self._scope = scope
        self._entry = entry

    async def respond(self, method: str, params: JsonObject) -> JsonObject:
        """The result of a request of the server.

        Raises:
            RpcError: it is refused; the message is for the server.
        """
        match method:
            case "elicitation/create":
                return await self._elicited(params)
            case "sampling/createMessage":
                return await self._sampled(params)
            case "roots/list":
                return roots_of(self._entry)
            case _:
                raise RpcError(METHOD_NOT_FOUND, f"this client does not support {method}")

    async def _elicited(self, params: JsonObject) -> JsonObject:
        question = to_question(params)
        if self._scope.ask is None:
            return from_answer(UNANSWERED)
        with self.waiting.held():
            return from_answer(await self._scope.ask(self._call_id, question))

    async def _sampled(self, params: JsonObject) -> JsonObject:
        if not self._entry.sampling or self._scope.sample is None:
            raise RpcError(METHOD_NOT_FOUND, 'sampling is off for this server ("sampling": true allows it)')
        outcome = await self._scope.sample(self._call_id, to_sample(params))
        match outcome:
            case SampleReply():
                return from_sample(outcome)
            case Refusal(reason=reason):
                raise RpcError(REFUSED, f"no sampling: {reason}")


def to_question(params: JsonObject) -> Question:
    """The question of an `elicitation/create`.

    Raises:
        RpcError: it is none.
    """
    message, url, schema = params.get("message"), params.get("url"), params.get("requestedSchema")
    if isinstance(message, str) and params.get("mode") == "url" and isinstance(url, str):
        if not url.lower().startswith(("https://", "http://")) or len(url) > MAX_FORM_CHARACTERS:
            raise RpcError(INVALID_PARAMS, "elicitation: the url must be an http or https address")
        return Question(message, url=url)
    if isinstance(message, str) and params.get("mode") != "url" and isinstance(schema, dict):
        if len(json.dumps(schema)) > MAX_FORM_CHARACTERS:
            raise RpcError(INVALID_PARAMS, f"elicitation: a form may have {MAX_FORM_CHARACTERS} characters")
        return Question(message, schema=cast("dict[str, Any]", schema))
    raise RpcError(INVALID_PARAMS, "elicitation: needs a message and a requestedSchema, or a url")


def from_answer(answer: InputAnswer) -> JsonObject:
    """The result of an `elicitation/create`."""
    if answer.action == "accept" and answer.content is not None:
        return {"action": "accept", "content": answer.content}
    return {"action": answer.action}


def to_sample(params: JsonObject) -> SampleRequest:
    """What a `sampling/createMessage` wants. Hints as to the model, temperature and the like are not honoured.

    Raises:
        RpcError: it can't be had.
    """
    if params.get("tools"):
        raise RpcError(INVALID_PARAMS, "sampling with tools is not supported: ask for text alone")
    messages, most = params.get("messages"), params.get("maxTokens")
    system = params.get("systemPrompt")
    if not isinstance(messages, list) or not messages:
        raise RpcError(INVALID_PARAMS, "sampling: `messages` must be a list with a message or more")
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise RpcError(INVALID_PARAMS, "sampling: `maxTokens` must be 1 or more")
    history = tuple(_to_message(message) for message in cast("list[Any]", messages))
    return SampleRequest(history, system if isinstance(system, str) else "", most)


def _to_message(message: Any) -> UserMessage | Reply:
    match message:
        case {"role": "user", "content": content}:
            parts = [_to_part(block) for block in _blocks(content)]
            media = tuple(part for part in parts if isinstance(part, Media))
            return UserMessage("\n".join(part.text for part in parts if isinstance(part, Text)), media=media)
        case {"role": "assistant", "content": content}:
            parts = [_to_part(block) for block in _blocks(content)]
            if any(isinstance(part, Media) for part in parts):
                raise RpcError(INVALID_PARAMS, "sampling: a message of the assistant may hold text only")
            return Reply(tuple(part for part in parts if isinstance(part, Text)), "end_turn")
        case _:
            raise RpcError(INVALID_PARAMS, "sampling: a message needs a role (user, assistant) and content")


def _blocks(content: Any) -> list[Any]:
    return cast("list[Any]", content) if isinstance(content, list) else [content]


def _to_part(block: Any) -> Text | Media:
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "image", "data": str(data), "mimeType": str(mime_type)}:
            return Media(mime_type, data)
        case _:
            kind = cast("Mapping[str, Any]", block).get("type") if isinstance(block, dict) else block
            raise RpcError(INVALID_PARAMS, f"sampling: content of type {kind!r:.50} is not supported")


def from_sample(reply: SampleReply) -> JsonObject:
    """The result of a `sampling/createMessage`."""
    return {
        "role": "assistant",
        "content": {"type": "text", "text": reply.text},
        "model": reply.model,
        "stopReason": "maxTokens" if reply.is_cut else "endTurn",
    }
