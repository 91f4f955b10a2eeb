"""What is particular to the Messages API."""

import json

import pytest

from agent_mcp.agent.messages import Text, Thinking, ToolResult, ToolResults, UserMessage
from agent_mcp.errors import ContextOverflowError, ModelError, TransientModelError
from tests.models.talk import KEY, talk_over
from tests.support.model_script import Answer, Call, Fault, script_of

pytestmark = pytest.mark.anyio

CLAUDE = "anthropic:claude-sonnet-5-5"
BLOCKS = (
    {"type": "redacted_thinking", "data": "c2VjcmV0"},
    {"type": "brand_new_block", "payload": {"a": [1, 2.5, "ü"]}, "signature": "opaque"},
)


async def test_every_block_goes_back_as_it_came_signed_thinking_and_unknown_types_too() -> None:
    answer = Answer(blocks=BLOCKS, thinking="I must look.", text="I look.", calls=(Call(name="local__echo"),))
    async with talk_over(CLAUDE, script_of(answer, Answer(text="ok"))) as (talk, server):
        reply = await talk.say("go")
        assert (await talk.answer()).text == "ok"
    sent = server.requests[-1].json["messages"][1]["content"]
    assert sent == json.loads(reply.blocks)
    assert sent[:2] == [dict(block) for block in BLOCKS]
    assert sent[2]["thinking"] == "I must look."
    assert sent[2]["signature"].startswith("bound-")
    assert [type(part) for part in reply.parts[:2]] == [Thinking, Text]


async def test_a_call_with_broken_arguments_goes_back_beside_its_signed_thinking() -> None:
    answer = Answer(thinking="Hm.", calls=(Call(name="local__echo", raw_arguments='{"text'),))
    async with talk_over(CLAUDE, script_of(answer, Answer(text="ok"))) as (talk, server):
        await talk.say("go")
        await talk.answer()
    thinking, call = server.requests[-1].json["messages"][1]["content"]
    assert thinking["signature"].startswith("bound-")
    assert call["input"] == {}


async def test_a_changed_prefix_is_refused_by_the_server_while_thinking_is_signed() -> None:
    steps = [Answer(thinking="Hm.", text="a"), Answer(text="b")]
    async with talk_over(CLAUDE, script_of(*steps)) as (talk, _):
        await talk.say("one")
        talk.history[0] = UserMessage("another")
        with pytest.raises(ModelError, match="different conversation"):
            await talk.say("two")


async def test_messages_between_two_replies_are_one_user_message_with_results_first() -> None:
    steps = [Answer(calls=(Call(name="local__echo"),)), Answer(text="ok")]
    async with talk_over(CLAUDE, script_of(*steps)) as (talk, server):
        reply = await talk.say("go")
        result = ToolResult(reply.tool_calls[0].id, (Text("fine"),))
        talk.history += [UserMessage("and hurry"), ToolResults((result,))]
        await talk.ask()
    content = server.requests[-1].json["messages"][2]["content"]
    assert [block["type"] for block in content] == ["tool_result", "text"]


async def test_a_paused_turn_is_sent_back_as_it_is() -> None:
    async with talk_over(CLAUDE, script_of(Answer(text="wait", stop="pause_turn"), Answer(text="ok"))) as (
        talk,
        server,
    ):
        assert (await talk.say("go")).stop == "pause_turn"
        assert (await talk.ask()).text == "ok"
    assert [message["role"] for message in server.requests[-1].json["messages"]] == ["user", "assistant"]


async def test_a_full_context_window_is_an_overflow() -> None:
    answer = Answer(text="x", stop="model_context_window_exceeded")
    async with talk_over(CLAUDE, script_of(answer)) as (talk, _):
        with pytest.raises(ContextOverflowError):
            await talk.say("go")


async def test_a_final_error_inside_the_stream_is_not_worth_another_try() -> None:
    fault = Fault(kind="error_event", type="invalid_request_error", message="no")
    async with talk_over(CLAUDE, script_of(Answer(text="x", fault=fault))) as (talk, _):
        with pytest.raises(ModelError, match="no") as caught:
            await talk.say("go")
    assert not isinstance(caught.value, TransientModelError)


async def test_the_request_asks_for_caching_and_carries_the_key_in_a_header() -> None:
    async with talk_over(CLAUDE, script_of(Answer(text="x"))) as (talk, server):
        await talk.say("go")
    request = server.requests[0]
    assert request.json["cache_control"] == {"type": "ephemeral"}
    assert request.json["max_tokens"] == 32_000
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert KEY.encode() not in request.body


async def test_a_known_model_has_a_price() -> None:
    answer = Answer(text="x", input_tokens=30_000, cache_read_tokens=50_000, cache_write_tokens=20_000)
    async with talk_over(CLAUDE, script_of(answer)) as (talk, _):
        reply = await talk.say("go")
    # 30k at $2, 50k at $0.10 and 20k at $2.50 per million, and 5 tokens out at $10.
    assert reply.usage.cost_usd == pytest.approx(0.06 + 0.005 + 0.05 + 0.00005)
