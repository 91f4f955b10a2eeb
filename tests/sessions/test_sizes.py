"""Very large results: what the model reads of them, and that everybody else reads all."""

import json
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_mcp.agent.messages import Content, Media, Text, ToolResult, ToolResults
from agent_mcp.sessions.events import ToolFinished
from agent_mcp.sessions.profile import Profile, ServerTrust
from agent_mcp.sessions.sizes import MEDIA_CHARACTERS, RESULT_CHARACTERS, bounded
from agent_mcp.sessions.start import StartRequest
from agent_mcp.sessions.transcript import entries, unsplit
from tests.support.world import FunctionTools, World, calls, open_world, says

BLOCKS = st.lists(st.text("abc", max_size=12).map(Text) | st.just(Media("image/png", "AA==")), max_size=6)
TEXT = "".join(f"{n:07}\n" for n in range(125))  # 1,000 characters


def result(*content: Content) -> ToolResult:
    """A result with this content."""
    return ToolResult("call_1", content)


def texts(of: ToolResult) -> list[str]:
    """Its blocks of text."""
    return [block.text for block in of.content if isinstance(block, Text)]


def test_a_result_at_the_cap_is_the_very_same() -> None:
    whole = result(Text("a" * 600), Media("image/png", "AA=="), Text("b" * 400))
    assert bounded(whole, 1_000) is whole


def test_a_larger_one_keeps_head_and_tail_around_a_note_with_the_sizes_and_the_way_out() -> None:
    (shown,) = texts(bounded(result(Text(TEXT)), 400))
    assert shown.startswith(TEXT[:300] + "\n[Note from agent_mcp: this result has 1,000 characters, ")
    assert shown.endswith("]\n" + TEXT[-100:])
    for said in ("the 400 that", "first 300", "last 100", "600 in between", "ask for less", "call call_1"):
        assert said in shown


@given(content=BLOCKS, characters=st.integers(1, 40))
def test_however_it_is_parted_no_more_than_the_cap_is_shown_and_media_stay(
    content: list[Content], characters: int
) -> None:
    whole = "".join(texts(result(*content)))
    shown = bounded(result(*content), characters)
    assert [b for b in shown.content if isinstance(b, Media)] == [b for b in content if isinstance(b, Media)]
    if len(whole) <= characters:
        assert texts(shown) == texts(result(*content))
        return
    head, _, rest = "".join(texts(shown)).partition("[Note from agent_mcp: this")
    tail = rest.partition("call call_1.]")[2]
    tail = tail.replace("[Note from agent_mcp: the beginning of this is left out.]", "").replace("\n", "")
    assert head.removesuffix("\n") == whole[: characters - characters // 4]
    assert tail == whole[len(whole) - characters // 4 :]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_json_that_is_not_whole_does_not_look_whole() -> None:
    rows = [str(number) for number in range(10_000, 10_030)]
    for characters in range(1, 150):
        one = texts(bounded(result(Text(f"[{','.join(rows)}]")), characters))
        many = texts(bounded(result(*map(Text, rows)), characters))
        assert {shown for shown in one + many if _is_json(shown)} <= {*rows}


def test_an_image_that_no_provider_takes_becomes_a_note_and_others_stay() -> None:
    small, large = Media("image/png", "AA=="), Media("image/tiff", "A" * (MEDIA_CHARACTERS + 1))
    note, kept = bounded(result(large, small), 1_000).content
    assert kept is small
    assert isinstance(note, Text)
    assert note.text.startswith("[Note from agent_mcp: image/tiff left out")
    assert "10,000,001 characters of base64 are more than 10,000,000" in note.text


def test_an_event_of_before_there_was_a_cap_has_the_default_one() -> None:
    assert ToolFinished("call_1", ()).shown_characters == RESULT_CHARACTERS


CAPPED = Profile(agent="a", model="plan", servers=("t",), trust={"t": ServerTrust(max_result_characters=400)})


async def _give(_: dict[str, object]) -> str:
    return TEXT


def _read_by_model(world: World) -> tuple[Content, ...]:
    """The content of the one result in the newest request."""
    (results,) = [message for message in world.model.requests[-1].history if isinstance(message, ToolResults)]
    return results.results[0].content


@pytest.mark.anyio
async def test_the_model_reads_the_same_cut_after_a_restart_and_people_all_of_it(tmp_path: Path) -> None:
    plan, tools = [calls(("t__give", {})), says("given")], FunctionTools({"give": _give})
    with anyio.fail_after(20):
        async with open_world(tmp_path, *plan, profile=CAPPED, tools=tools) as world:
            await world.service.start(StartRequest(message="go"), session_id="s", wait_seconds=10)
            first = _read_by_model(world)
            call = (await world.logs.state("s")).steps[0].calls[0]
        async with open_world(tmp_path, says("again"), tools=tools) as world:
            await world.service.send("s", "and now", wait_seconds=10)
            state = await world.logs.state("s")
    assert first == bounded(ToolResult(call.call.id, (Text(TEXT),)), 400).content
    assert "are left out" in str(first) and TEXT not in str(first)
    assert _read_by_model(world) == first
    (shown,) = [entry for entry in unsplit(entries(state, "full")) if entry["type"] == "tool_result"]
    assert shown["result"] == TEXT
