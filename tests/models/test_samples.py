"""Requests in a server's name, on every wire: images of a user's message, and a smaller limit of output."""

from dataclasses import replace
from typing import Any

import pytest

from agent_mcp.agent.messages import Media, Reply, Text, UserMessage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.config.schema import ModelEntry
from agent_mcp.models.rendering import output_limit
from tests.models.talk import open_catalog, talk_over
from tests.support.model_script import Answer, script_of
from tests.support.model_server import open_model_server

pytestmark = pytest.mark.anyio

MEDIA = (Media("image/png", "aW1n"), Media("audio/wav", "YXVk"))
HISTORY = (
    UserMessage("What is it?", media=MEDIA),
    Reply((Text("A dot."),), "end_turn"),
    UserMessage("Sure?"),
)
REQUEST = ModelRequest(system="Look.", tools=(), history=HISTORY, max_output_tokens=7)
NOTE = "[audio/wav, 1 kB: not shown to this model]"

SEEN: dict[str, tuple[str, list[Any]]] = {
    "anthropic:fake": (
        "max_tokens",
        [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aW1n"}},
            {"type": "text", "text": NOTE},
            {"type": "text", "text": "What is it?"},
        ],
    ),
    "openai:fake": (
        "max_output_tokens",
        [
            {"type": "input_text", "text": "What is it?"},
            {"type": "input_image", "image_url": "data:image/png;base64,aW1n"},
            {"type": "input_text", "text": NOTE},
        ],
    ),
    "openai-chat:fake": (
        "max_tokens",
        [
            {"type": "text", "text": f"What is it?\n{NOTE}"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}},
        ],
    ),
}


@pytest.mark.parametrize("reference", SEEN)
async def test_a_users_images_and_the_asked_limit_reach_the_provider(reference: str) -> None:
    key, content = SEEN[reference]
    async with talk_over(reference, script_of(Answer(text="Yes."))) as (talk, server):
        reply = await talk.model.reply(REQUEST, lambda _: None)
    sent = server.requests[-1].json
    messages = [one for one in sent.get("messages") or sent["input"] if one["role"] != "system"]
    assert reply.text
    assert sent[key] == 7
    assert messages[0]["content"] == content
    assert "tools" not in sent


async def test_a_configured_limit_that_is_smaller_stays() -> None:
    async with open_model_server(script_of(Answer(text="a"))) as server:
        entry = ModelEntry(use="anthropic:fake", max_output_tokens=5)
        async with open_catalog(server, models={"small": entry}) as catalog:
            await catalog.open_model("small").reply(replace(REQUEST, max_output_tokens=99), lambda _: None)
    assert server.requests[-1].json["max_tokens"] == 5


def test_the_smaller_limit_counts() -> None:
    assert [output_limit(*each) for each in ((None, None), (3, None), (None, 4), (3, 4))] == [None, 3, 4, 3]
