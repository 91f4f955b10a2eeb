"""What a provider repeats of its key and headers is in no reply."""

import pytest

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import Reply, Text, Thinking, ToolCall, UserMessage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.config.blot import Blot
from agent_mcp.config.secrets import secrets_in_replies
from agent_mcp.models.discreet import DiscreetModel

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret-1"
REQUEST = ModelRequest("", (), [UserMessage("hi")])


class OneReply:
    """A model that always says the same."""

    wire, name = "wire", "name"

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """The reply."""
        return self._reply


async def _said(reply: Reply) -> Reply:
    blot = Blot(secrets_in_replies(KEY, {"User-Agent": "my own client", "X-Key": "header-7"}, None))
    return await DiscreetModel(OneReply(reply), blot).reply(REQUEST, lambda _: None)


async def test_key_and_headers_are_cut_out_of_every_part_of_a_reply() -> None:
    call = ToolCall("c", "n", {"a": [KEY]}, raw_arguments=f"{KEY} header-7")
    parts = (Text(f"you sent {KEY}"), Thinking(KEY), call)
    said = await _said(Reply(parts, "end_turn", blocks=f'["{KEY}"]'))
    assert KEY not in str(said.parts) + said.blocks
    assert "header-7" not in str(said.parts)
    assert said.text == "you sent ***"


async def test_a_reply_without_them_is_the_very_same() -> None:
    reply = Reply((Text("my own client says hi"),), "end_turn", blocks="[]")
    assert await _said(reply) is reply
