"""The three wire formats as their providers speak them: read and check a request, write the events of an answer.

Formats: Anthropic Messages (streaming), OpenAI Responses (streaming), OpenAI Chat Completions (streaming).
"""

import hashlib
import json
import secrets
from typing import Any, Protocol

from tests.support.model_checks import (
    InvalidRequest,
    Turn,
    add_turn,
    check_tool,
    check_turns,
    conversation_of,
    pieces,
    require,
    text_of,
)
from tests.support.model_script import Answer, Call, Conversation

__all__ = ["WIRES", "InvalidRequest", "Wire"]

Body = dict[str, Any]


class Wire(Protocol):
    """One wire format."""

    terminal_events: int
    """How many events at the end tell that the answer is whole."""

    def read(self, body: Body, *, validate: bool) -> Conversation:
        """Check a request and say what decides its answer.

        Raises:
            InvalidRequest: the request breaks a rule.
        """
        ...

    def events(self, answer: Answer, body: Body) -> list[bytes]:
        """The server-sent events of an answer."""
        ...

    def error(self, kind: str, message: str) -> Body:
        """The body of an HTTP error."""
        ...

    def error_event(self, kind: str, message: str) -> bytes:
        """An error in the middle of a stream."""
        ...


class AnthropicWire:
    """POST /v1/messages."""

    terminal_events = 2

    def read(self, body: Body, *, validate: bool) -> Conversation:
        turns: list[Turn] = []
        for message in body["messages"]:
            self._add(turns, message)
        if validate:
            require(
                body["stream"] is True and body["max_tokens"] > 0 and body["model"],
                "model, max_tokens, stream",
            )
            for tool in body.get("tools", []):
                check_tool(tool["name"], tool["input_schema"])
            check_turns(turns)
            _check_bound_thinking(body)
        return conversation_of(turns)

    def _add(self, turns: list[Turn], message: Body) -> None:
        role, content = message["role"], message["content"]
        require(role in ("user", "assistant"), f"unknown role {role!r}")
        blocks: list[Body] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        require(blocks, "a message has no content")
        texts = [block["text"] for block in blocks if block["type"] == "text"]
        require(all(text.strip() for text in texts), "text content blocks must be non-empty")
        if role == "assistant":
            calls = [block for block in blocks if block["type"] == "tool_use"]
            require(
                all(isinstance(call["input"], dict) for call in calls), "tool_use.input must be an object"
            )
            turns.append(Turn("assistant", "\n".join(texts), tuple(call["id"] for call in calls)))
            return
        results = [block for block in blocks if block["type"] == "tool_result"]
        require(blocks[: len(results)] == results, "tool_result blocks must come first")
        for result in results:
            content = result["content"]
            parts: list[Body] = [] if isinstance(content, str) else content
            for part in parts:
                require(
                    part["type"] == "text" or not result.get("is_error"), "an error result may only hold text"
                )
        if results:
            turns.append(Turn("results", "", tuple(result["tool_use_id"] for result in results)))
        if texts:
            turns.append(Turn("user", "\n".join(texts)))

    def events(self, answer: Answer, body: Body) -> list[bytes]:
        usage = {
            "input_tokens": answer.input_tokens,
            "cache_read_input_tokens": answer.cache_read_tokens,
            "cache_creation_input_tokens": answer.cache_write_tokens,
            "output_tokens": 1,
        }
        start: Body = {
            "id": f"msg_{secrets.token_hex(4)}",
            "type": "message",
            "role": "assistant",
            "content": [],
        }
        start |= {"model": body["model"], "stop_reason": None, "usage": usage}
        events = [_event("message_start", message=start)]
        for index, (block, deltas) in enumerate(self._blocks(answer, body)):
            events.append(_event("content_block_start", index=index, content_block=block))
            events += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
            events.append(_event("content_block_stop", index=index))
        stop = answer.stop or ("tool_use" if answer.calls else "end_turn")
        delta = {"stop_reason": stop, "stop_sequence": None}
        events.append(_event("message_delta", delta=delta, usage={"output_tokens": answer.output_tokens}))
        return [*events, _event("message_stop")]

    def _blocks(self, answer: Answer, body: Body) -> list[tuple[Body, list[Body]]]:
        blocks: list[tuple[Body, list[Body]]] = [(dict(block), []) for block in answer.blocks]
        size = answer.piece_chars
        if answer.thinking:
            signature = _bound_signature(body, len(body["messages"]), answer.thinking)
            deltas = [
                {"type": "thinking_delta", "thinking": piece} for piece in pieces(answer.thinking, size)
            ]
            deltas.append({"type": "signature_delta", "signature": signature})
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
        if answer.text:
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(answer.text, size)]
            blocks.append(({"type": "text", "text": ""}, deltas))
        for call in answer.calls:
            raw = pieces(_raw(call), size)
            block: Body = {"type": "tool_use", "id": _call_id(call, "toolu_"), "name": call.name, "input": {}}
            blocks.append((block, [{"type": "input_json_delta", "partial_json": piece} for piece in raw]))
        return blocks

    def error(self, kind: str, message: str) -> Body:
        return {"type": "error", "error": {"type": kind, "message": message}}

    def error_event(self, kind: str, message: str) -> bytes:
        return _event("error", error={"type": kind, "message": message})


class ResponsesWire:
    """POST /v1/responses, stateless."""

    terminal_events = 1

    def read(self, body: Body, *, validate: bool) -> Conversation:
        turns: list[Turn] = []
        for item in body["input"]:
            self._add(turns, item)
        if validate:
            require(
                body["stream"] is True and body["model"] and body["store"] is False, "model, stream, store"
            )
            for tool in body.get("tools", []):
                check_tool(tool["name"], tool["parameters"])
            check_turns(turns)
        return conversation_of(turns)

    def _add(self, turns: list[Turn], item: Body) -> None:
        match item.get("type", "message"):
            case "message" if item["role"] == "assistant":
                require(text_of(item["content"]).strip(), "an assistant message has no text")
                add_turn(turns, Turn("assistant", text_of(item["content"])))
            case "message" if item["role"] == "developer":
                return
            case "message":
                require(item["role"] == "user", f"unknown role {item['role']!r}")
                turns.append(Turn("user", text_of(item["content"])))
            case "function_call":
                require(isinstance(json.loads(item["arguments"]), dict), "arguments must be a JSON object")
                add_turn(turns, Turn("assistant", "", (item["call_id"],)))
            case "function_call_output":
                require(item["output"], "a function_call_output has no output")
                add_turn(turns, Turn("results", "", (item["call_id"],)))
            case "reasoning":
                require(item.get("encrypted_content"), "reasoning without encrypted_content is not stored")
                add_turn(turns, Turn("assistant"))
            case _:
                add_turn(turns, Turn("assistant"))

    def events(self, answer: Answer, body: Body) -> list[bytes]:
        response: Body = {"id": f"resp_{secrets.token_hex(4)}", "object": "response", "model": body["model"]}
        response |= {"status": "in_progress", "output": [], "tools": body.get("tools", [])}
        events = [
            _event("response.created", response=response),
            _event("response.in_progress", response=response),
        ]
        output = self._items(answer)
        for index, item in enumerate(output):
            events.append(_event("response.output_item.added", output_index=index, item={**item}))
            events += self._deltas(answer, index, item)
            events.append(_event("response.output_item.done", output_index=index, item=item))
        cached = {"cached_tokens": answer.cache_read_tokens, "cache_write_tokens": answer.cache_write_tokens}
        total = answer.input_tokens + answer.cache_read_tokens + answer.cache_write_tokens
        usage = {"input_tokens": total, "input_tokens_details": cached, "output_tokens": answer.output_tokens}
        usage["total_tokens"] = total + answer.output_tokens
        done = {**response, "status": "completed", "output": output, "usage": usage}
        if answer.stop in ("max_output_tokens", "content_filter"):
            done |= {"status": "incomplete", "incomplete_details": {"reason": answer.stop}}
            return [*events, _event("response.incomplete", response=done)]
        return [*events, _event("response.completed", response=done)]

    def _items(self, answer: Answer) -> list[Body]:
        items: list[Body] = [dict(block) for block in answer.blocks]
        if answer.thinking:
            summary = [{"type": "summary_text", "text": answer.thinking}]
            encrypted = hashlib.sha256(answer.thinking.encode()).hexdigest()
            items.append(
                {"id": f"rs_{secrets.token_hex(4)}", "type": "reasoning", "summary": summary}
                | {"encrypted_content": encrypted}
            )
        if answer.text:
            part: Body = {"type": "output_text", "text": answer.text, "annotations": []}
            message = {"id": f"msg_{secrets.token_hex(4)}", "type": "message", "role": "assistant"}
            items.append(message | {"status": "completed", "content": [part]})
        for call in answer.calls:
            item = {
                "id": f"fc_{secrets.token_hex(4)}",
                "type": "function_call",
                "call_id": _call_id(call, "call_"),
            }
            items.append(item | {"name": call.name, "arguments": _raw(call), "status": "completed"})
        return items

    def _deltas(self, answer: Answer, index: int, item: Body) -> list[bytes]:
        if item["type"] == "message":
            texts = pieces(answer.text, answer.piece_chars)
            return [_event("response.output_text.delta", output_index=index, delta=text) for text in texts]
        if item["type"] == "function_call":
            parts = pieces(item["arguments"], answer.piece_chars)
            name = "response.function_call_arguments.delta"
            return [_event(name, output_index=index, delta=part) for part in parts]
        return []

    def error(self, kind: str, message: str) -> Body:
        return {"error": {"message": message, "type": kind, "code": kind, "param": None}}

    def error_event(self, kind: str, message: str) -> bytes:
        return _event("error", code=kind, message=message, param=None)


class ChatWire:
    """POST /v1/chat/completions."""

    terminal_events = 3

    def read(self, body: Body, *, validate: bool) -> Conversation:
        turns: list[Turn] = []
        for index, message in enumerate(body["messages"]):
            require(message["role"] != "system" or index == 0, "system must come first")
            self._add(turns, message)
        if validate:
            require(body["stream"] is True and body["model"], "model, stream")
            for tool in body.get("tools", []):
                check_tool(tool["function"]["name"], tool["function"]["parameters"])
            check_turns(turns)
        return conversation_of(turns)

    def _add(self, turns: list[Turn], message: Body) -> None:
        match message["role"]:
            case "system":
                return
            case "user":
                require(message["content"], "a user message has no content")
                turns.append(Turn("user", text_of(message["content"])))
            case "assistant":
                calls = message.get("tool_calls", [])
                require(message["content"] or calls, "an assistant message has neither content nor calls")
                for call in calls:
                    arguments = json.loads(call["function"]["arguments"])
                    require(isinstance(arguments, dict), "arguments must be a JSON object")
                turns.append(Turn("assistant", message["content"] or "", tuple(call["id"] for call in calls)))
            case "tool":
                require(isinstance(message["content"], str), "a tool message's content must be text")
                add_turn(turns, Turn("results", "", (message["tool_call_id"],)))
            case role:
                raise InvalidRequest(f"unknown role {role!r}")

    def events(self, answer: Answer, body: Body) -> list[bytes]:
        size = answer.piece_chars
        deltas: list[Body] = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning_content": piece} for piece in pieces(answer.thinking, size) if piece]
        deltas += [{"content": piece} for piece in pieces(answer.text, size) if piece]
        for index, call in enumerate(answer.calls):
            function = {"name": call.name, "arguments": ""}
            head = {"index": index, "id": _call_id(call, "call_"), "type": "function", "function": function}
            deltas.append({"tool_calls": [head]})
            for piece in pieces(_raw(call), size):
                deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        stop = answer.stop or ("tool_calls" if answer.calls else "stop")
        choices: list[Body] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": stop})
        head = {"id": "chatcmpl_1", "object": "chat.completion.chunk", "model": body["model"]}
        events = [_data({**head, "choices": [choice]}) for choice in choices]
        prompt = answer.input_tokens + answer.cache_read_tokens + answer.cache_write_tokens
        usage = {"prompt_tokens": prompt, "completion_tokens": answer.output_tokens}
        usage |= {"prompt_tokens_details": {"cached_tokens": answer.cache_read_tokens}}
        return [*events, _data({**head, "choices": [], "usage": usage}), b"data: [DONE]\n\n"]

    def error(self, kind: str, message: str) -> Body:
        return {"error": {"message": message, "type": kind, "code": kind, "param": None}}

    def error_event(self, kind: str, message: str) -> bytes:
        return _data(self.error(kind, message))


WIRES: dict[str, Wire] = {
    "/v1/messages": AnthropicWire(),
    "/v1/responses": ResponsesWire(),
    "/v1/chat/completions": ChatWire(),
}


def _event(name: str, /, **fields: Any) -> bytes:
    return f"event: {name}\n".encode() + _data({"type": name, **fields})


def _data(value: Body) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _raw(call: Call) -> str:
    return json.dumps(call.arguments) if call.raw_arguments is None else call.raw_arguments


def _call_id(call: Call, prefix: str) -> str:
    return f"{prefix}{secrets.token_hex(8)}" if call.id is None else call.id


def _bound_signature(body: Body, index: int, thinking: str) -> str:
    """A signature over everything that the model had read, as Claude's preserved thinking is bound."""
    read = [body.get("system"), body.get("tools"), body["messages"][:index], thinking]
    return "bound-" + hashlib.sha256(json.dumps(read).encode()).hexdigest()[:24]


def _check_bound_thinking(body: Body) -> None:
    for index, message in enumerate(body["messages"]):
        blocks: list[Body] = message["content"] if isinstance(message["content"], list) else []
        for block in blocks:
            if not str(block.get("signature", "")).startswith("bound-"):
                continue
            expected = _bound_signature(body, index, block["thinking"])
            require(
                block["signature"] == expected,
                f"messages.{index}: block is bound to a different conversation",
            )
