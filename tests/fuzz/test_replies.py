"""Odd streams of all three wires become a reply that the log can keep, or an error of ours; nothing else happens."""

import json
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

import anyio
import httpx2
import pytest
from hypothesis import given, settings

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import Reply
from agent_mcp.errors import ModelError
from agent_mcp.models.anthropic_reply import AnthropicReply
from agent_mcp.models.openai_chat_reply import ChatReply
from agent_mcp.models.openai_responses_reply import ResponsesReply
from agent_mcp.models.soundness import finished
from agent_mcp.models.streaming import read_stream
from agent_mcp.models.target import ApiProvider, Target
from agent_mcp.sessions.events import ModelReplied
from agent_mcp.store.codec import decode, encode
from tests.support.odd import SCALE, as_object, mutated, seeds, torn

Events = list[tuple[str, dict[str, Any]]]

_CALL = {
    "type": "function_call",
    "id": "f1",
    "call_id": "c1",
    "name": "local__echo",
    "arguments": '{"text": "x"}',
}
_MESSAGE = {
    "type": "message",
    "id": "m",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "hello"}],
}
_USED = {"input_tokens": 9, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}
_WHOLE = {"id": "r", "model": "m", "status": "completed", "output": [_MESSAGE, _CALL], "usage": _USED}
STREAMS: dict[ApiProvider, Events] = {
    "anthropic": [
        (
            "message_start",
            {"message": {"id": "m", "model": "m", "usage": {"input_tokens": 9, "output_tokens": 1}}},
        ),
        (
            "content_block_start",
            {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        ),
        ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "s="}}),
        ("content_block_stop", {"index": 0}),
        ("content_block_start", {"index": 1, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "hello"}}),
        ("content_block_stop", {"index": 1}),
        (
            "content_block_start",
            {"index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "e", "input": {}}},
        ),
        (
            "content_block_delta",
            {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"text": "x"}'}},
        ),
        ("content_block_stop", {"index": 2}),
        ("message_delta", {"delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}}),
        ("message_stop", {}),
    ],
    "openai-chat": [
        ("", {"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "hel"}}]}),
        ("", {"choices": [{"index": 0, "delta": {"content": "lo", "reasoning_content": "hm"}}]}),
        (
            "",
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {
                            "tool_calls": [
                                {"index": 0, "id": "t", "function": {"name": "e", "arguments": '{"a"'}}
                            ]
                        },
                    }
                ]
            },
        ),
        (
            "",
            {
                "choices": [
                    {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}}
                ]
            },
        ),
        ("", {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        ("", {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}),
    ],
    "openai": [
        ("response.created", {"response": {"id": "r", "model": "m", "status": "in_progress"}}),
        ("response.output_item.added", {"output_index": 0, "item": {"type": "message", "content": []}}),
        ("response.output_text.delta", {"output_index": 0, "delta": "hello"}),
        ("response.output_item.done", {"output_index": 0, "item": _MESSAGE}),
        ("response.function_call_arguments.delta", {"output_index": 1, "delta": '{"text"'}),
        ("response.output_item.done", {"output_index": 1, "item": _CALL}),
        ("response.completed", {"response": _WHOLE}),
    ],
}


class Builder(Protocol):
    """What puts a reply together."""

    def take(self, name: bytes, data: bytes) -> None:
        """An event."""
        ...

    def finish(self) -> Reply:
        """All of it."""
        ...


BUILDERS: dict[ApiProvider, Callable[[Target, Emit], Builder]] = {
    "anthropic": AnthropicReply,
    "openai": ResponsesReply,
    "openai-chat": ChatReply,
}


def _stream(events: Events) -> bytes:
    lines: list[bytes] = []
    for name, data in events:
        named = {"type": name, **data} if name else data
        lines.append(
            (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(named).encode() + b"\n\n"
        )
    return b"".join([*lines, b"data: [DONE]\n\n"])


def _odd_stream(provider: ApiProvider, random: Random) -> bytes:
    events: list[Any] = [list(event) for event in STREAMS[provider]]
    for _ in range(random.randrange(3)):
        index = random.randrange(len(events))
        match random.randrange(3):
            case 0:
                events.insert(random.randrange(len(events)), events[index])
            case 1 if len(events) > 1:
                del events[index]
            case _:
                events[index] = [events[index][0], mutated(events[index][1], random)]
    content = _stream([(name, as_object(data)) for name, data in events])
    return torn(content, random) if random.random() < 0.2 else content


async def _read(provider: ApiProvider, content: bytes) -> Reply:
    target = Target(provider, "m", api_key="key-of-the-test")
    builder = BUILDERS[provider](target, lambda _: None)
    request = httpx2.Request("POST", "http://x/")
    await read_stream(httpx2.Response(200, content=content, request=request), builder.take, place="x")
    return finished(builder.finish, place="x")


@pytest.mark.parametrize("provider", list(STREAMS))
def test_the_stream_that_nothing_was_done_to_is_whole(provider: ApiProvider) -> None:
    reply = anyio.run(_read, provider, _stream(STREAMS[provider]))
    assert reply.text == "hello"
    assert len(reply.tool_calls) == 1


@pytest.mark.parametrize("provider", list(STREAMS))
def test_an_odd_stream(provider: ApiProvider, capsys: pytest.CaptureFixture[str]) -> None:
    async def read_all(seeds_of_one: list[int]) -> None:
        for seed in seeds_of_one:
            await _check(provider, seed)

    @settings(max_examples=14 * SCALE, deadline=None, database=None)
    @given(seed=seeds)
    def run(seed: int) -> None:
        with_more = Random(seed)
        anyio.run(read_all, [with_more.getrandbits(32) for _ in range(100)])

    run()
    assert capsys.readouterr().out == ""


async def _check(provider: ApiProvider, seed: int) -> None:
    content = _odd_stream(provider, Random(seed))
    try:
        with anyio.fail_after(5):
            reply = await _read(provider, content)
    except ModelError as error:
        assert error.message
        return
    except Exception as error:
        raise AssertionError(f"seed {seed}: {content!r}") from error
    stored = ModelReplied(0, reply.parts, reply.stop, reply.usage, 1, reply.wire, reply.model, reply.blocks)
    encoded = encode(stored)
    encoded.text.encode()
    assert decode(encoded.kind, encoded.text) == encoded.data
