"""What a provider repeats of its key and headers is in no reply."""

import pytest

from agent_mcp.agent.events import Emit, Happening, ReplyRestarted, TextDelta, ToolProgress
from agent_mcp.agent.messages import Reply, Text, Thinking, ToolCall, UserMessage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.config.blot import Blot
from agent_mcp.config.secrets import secrets_in_replies
from agent_mcp.models.discreet import DiscreetModel

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret-1"
REQUEST = ModelRequest("", (), [UserMessage("hi")])


class OneReply:
    """A model that always says the same, after these happenings."""

    wire, name = "wire", "name"

    def __init__(self, reply: Reply, *happenings: Happening) -> None:
        self._reply = reply
        self._happenings = happenings

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """The reply."""
        for happening in self._happenings:
            emit(happening)
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


async def _heard(*happenings: Happening) -> list[Happening]:
    heard: list[Happening] = []
    model = DiscreetModel(OneReply(Reply((), "end_turn"), *happenings), Blot([KEY]))
    await model.reply(REQUEST, heard.append)
    return heard


async def test_who_reads_along_reads_no_key_however_it_is_parted_and_waits_for_nothing_else() -> None:
    for size in range(1, 20):
        text = f"you sent {KEY}, {KEY}! a good sk-very-s"
        heard = await _heard(*(TextDelta(text[at : at + size]) for at in range(0, len(text), size)))
        assert "".join(each.text for each in heard if isinstance(each, TextDelta)) == (
            "you sent ***, ***! a good sk-very-s"
        )
    assert await _heard(TextDelta("as "), TextDelta("they are")) == [TextDelta("as "), TextDelta("they are")]


async def test_of_a_reply_that_begins_again_nothing_is_held_back() -> None:
    again, working = ReplyRestarted("503", 0.5, 2), ToolProgress("c", 1, 2, "half way")
    assert await _heard(TextDelta("a sk-very"), again, working, TextDelta("-secret-1 b")) == [
        TextDelta("a "),
        again,
        working,
        TextDelta("-secret-1 b"),
    ]
