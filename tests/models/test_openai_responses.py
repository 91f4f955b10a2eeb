"""What is particular to the Responses API."""

import json
from typing import Any

import pytest

from agent_mcp.agent.messages import Media, Text, Thinking
from agent_mcp.errors import ContextOverflowError, ModelError, TransientModelError
from agent_mcp.models.openai_responses_reply import ResponsesReply
from agent_mcp.models.target import Target
from tests.models.talk import talk_over
from tests.support.model_script import Answer, Call, script_of

GPT = "openai:gpt-6.1-sol"
TARGET = Target(provider="openai", model="m", api_key="k")
MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}


def take(reply: ResponsesReply, kind: str, **fields: Any) -> None:
    """Feed one event."""
    reply.take(kind.encode(), json.dumps({"type": kind, **fields}).encode())


def new_reply() -> ResponsesReply:
    """One whose text nobody hears."""
    return ResponsesReply(TARGET, lambda _: None)


@pytest.mark.anyio
async def test_every_item_goes_back_as_it_came_encrypted_reasoning_and_unknown_types_too() -> None:
    unknown = {"type": "brand_new_item", "id": "x_1", "payload": [1, "ü"]}
    answer = Answer(blocks=(unknown,), thinking="Hm.", text="I look.", calls=(Call(name="local__echo"),))
    async with talk_over(GPT, script_of(answer, Answer(text="ok"))) as (talk, server):
        reply = await talk.say("go")
        await talk.answer()
    sent = server.requests[-1].json["input"][1:5]
    assert sent == json.loads(reply.blocks)
    assert [item["type"] for item in sent] == ["brand_new_item", "reasoning", "message", "function_call"]
    assert sent[1]["encrypted_content"]
    assert reply.parts[:2] == (Thinking("Hm."), Text("I look."))


@pytest.mark.anyio
async def test_nothing_is_stored_and_the_session_is_the_cache_key() -> None:
    async with talk_over(GPT, script_of(Answer(text="x", cache_write_tokens=3))) as (talk, server):
        reply = await talk.say("go")
    sent = server.requests[0].json
    assert sent["store"] is False
    assert sent["include"] == ["reasoning.encrypted_content"]
    assert sent["prompt_cache_key"] == "s1"
    assert sent["tools"][0]["strict"] is False
    assert reply.usage.cache_write_tokens == 3


@pytest.mark.anyio
async def test_a_result_of_text_is_a_plain_string_and_one_with_an_image_a_list() -> None:
    calls = (Call(name="local__echo"), Call(name="local__echo"))
    async with talk_over(GPT, script_of(Answer(calls=calls), Answer(text="ok"))) as (talk, server):
        await talk.say("go")
        await talk.answer((Text("a"), Text("b")), (Text("c"), Media("image/png", "AAAA")))
    plain, listed = (item["output"] for item in server.requests[-1].json["input"][-2:])
    assert plain == "a\nb"
    assert [part["type"] for part in listed] == ["input_text", "input_image"]


def test_items_are_read_from_their_own_events_where_the_last_one_has_none() -> None:
    reply = new_reply()
    take(reply, "response.output_item.done", item=MESSAGE)
    take(reply, "response.completed", response={"status": "completed", "output": []})
    finished = reply.finish()
    assert finished.text == "hi"
    assert finished.usage.input_tokens == 0


def test_a_refusal_inside_a_message_is_a_refusal() -> None:
    content = [{"type": "refusal", "refusal": "I won't."}]
    reply = new_reply()
    take(reply, "response.completed", response={"output": [{**MESSAGE, "content": content}]})
    finished = reply.finish()
    assert (finished.text, finished.stop) == ("I won't.", "refusal")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("server_error", TransientModelError),
        ("rate_limit_exceeded", TransientModelError),
        ("context_length_exceeded", ContextOverflowError),
        ("invalid_prompt", ModelError),
    ],
)
def test_a_failed_response_is_read_by_its_code(code: str, error: type[ModelError]) -> None:
    with pytest.raises(ModelError) as caught:
        take(new_reply(), "response.failed", response={"error": {"code": code, "message": "m"}})
    assert type(caught.value) is error


def test_events_that_only_repeat_the_request_are_not_even_decoded() -> None:
    new_reply().take(b"response.created", b"not json")
