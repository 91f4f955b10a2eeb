"""What is particular to requests of Chat Completions."""

from typing import Any

import pytest

from agent_mcp.agent.messages import Media, Text, UserMessage
from agent_mcp.config.schema import ModelEntry
from tests.models.talk import Talk, open_catalog, talk_over
from tests.support.model_script import Answer, Call, script_of
from tests.support.model_server import open_model_server

pytestmark = pytest.mark.anyio

CHAT = "openai-chat:qwen3"


async def test_images_of_results_follow_in_a_message_of_the_users() -> None:
    calls = (Call(name="local__echo"), Call(name="local__echo"))
    async with talk_over(CHAT, script_of(Answer(calls=calls), Answer(text="ok"))) as (talk, server):
        await talk.say("go")
        await talk.answer((Text("a"), Media("image/png", "AAAA")), (Text("b"),))
    messages: list[dict[str, Any]] = server.requests[-1].json["messages"]
    assert [message["role"] for message in messages[-3:]] == ["tool", "tool", "user"]
    assert messages[-1]["content"][1]["image_url"]["url"] == "data:image/png;base64,AAAA"


async def test_what_is_said_in_a_row_is_one_message_of_the_users() -> None:
    async with talk_over(CHAT, script_of(Answer(text="a"), Answer(text="b"))) as (talk, server):
        talk.history += [UserMessage("a server\nis down", note=True), UserMessage('say "é"')]
        await talk.ask()
        await talk.say("more")
    messages: list[dict[str, Any]] = server.requests[-1].json["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[1]["content"] == 'a server\nis down\n\nsay "é"'


async def test_thinking_of_a_vendor_is_not_sent_back() -> None:
    async with talk_over(CHAT, script_of(Answer(text="a", thinking="Hm."), Answer(text="b"))) as (
        talk,
        server,
    ):
        await talk.say("one")
        await talk.say("two")
    assert server.requests[-1].json["messages"][2] == {"role": "assistant", "content": "a"}


async def test_an_alias_brings_its_address_headers_limit_and_further_fields() -> None:
    async with open_model_server(script_of(Answer(text="a"))) as server:
        entry = ModelEntry(
            use=CHAT,
            base_url=server.openai_url,
            api_key_env="NONE",
            headers={"X-Team": "blue"},
            max_output_tokens=99,
            extra={"temperature": 0.5, "stream_options": {"include_usage": False}},
        )
        async with open_catalog(server, models={"local": entry}) as catalog:
            await Talk(catalog.open_model("local")).say("hi")
    request = server.requests[0]
    assert request.headers["x-team"] == "blue"
    assert request.headers["authorization"] == "Bearer none"
    sent = request.json
    assert (sent["model"], sent["max_tokens"], sent["temperature"]) == ("qwen3", 99, 0.5)
    assert sent["stream_options"] == {"include_usage": False}


async def test_a_local_model_has_no_price() -> None:
    async with talk_over("openai-chat:gpt-6.1-sol", script_of(Answer(text="a"))) as (talk, _):
        assert (await talk.say("one")).usage.cost_usd is None
