"""What goes into the log is of the types that it says, whatever a provider sent."""

from typing import Any, cast

import pytest

from agent_mcp.agent.messages import Reply, Text, ToolCall, Usage
from agent_mcp.errors import TransientModelError
from agent_mcp.models.soundness import finished


def test_counts_that_are_none_are_left_out_and_others_are_read() -> None:
    odd = cast(
        "Any", {"input_tokens": "7", "output_tokens": 3.0, "cache_read_tokens": [], "cache_write_tokens": -1}
    )
    reply = finished(lambda: Reply((), "end_turn", Usage(**odd), model=cast("Any", 5)), place="x")
    assert (reply.usage, reply.model) == (Usage(input_tokens=7, output_tokens=3), "")


@pytest.mark.parametrize("part", [Text(cast("Any", 5)), ToolCall("c", cast("Any", None), {})])
def test_a_text_that_is_none_makes_the_reply_a_broken_one(part: Any) -> None:
    with pytest.raises(TransientModelError, match="unexpected shape"):
        finished(lambda: Reply((part,), "end_turn"), place="x")


def test_a_reply_that_can_not_be_made_is_a_broken_one() -> None:
    with pytest.raises(TransientModelError, match="unexpected shape"):
        finished(lambda: cast("Any", None).nothing, place="x")
