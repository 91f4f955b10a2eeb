"""The models without a model: what they run, and that they always say what they are."""

import json
from pathlib import Path

import pytest

from agent_mcp.agent.messages import Text, UserMessage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.errors import ModelError, TransientModelError
from agent_mcp.models.catalog import ModelCatalog
from tests.models.talk import AT_ONCE, ECHO, ONE_TRY, Talk

pytestmark = pytest.mark.anyio


def commands() -> Talk:
    """A talk with the built-in model."""
    return Talk(ModelCatalog({}, {}).open_model("scripted"))


def scripted(path: Path, script: object, *, retries: bool = False) -> Talk:
    """A talk with a script written to a file."""
    path.write_text(json.dumps(script), encoding="utf-8")
    catalog = ModelCatalog({}, {}, retry=AT_ONCE if retries else ONE_TRY)
    return Talk(catalog.open_model(f"scripted:{path}"))


async def test_command_lines_become_parallel_calls_of_one_reply() -> None:
    talk = commands()
    reply = await talk.say('please\n/call a__b {"x": 1}\n  /call c__d\nthanks')
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [("a__b", {"x": 1}), ("c__d", {})]
    assert reply.stop == "tool_use"


async def test_the_answer_repeats_what_the_tools_said() -> None:
    talk = commands()
    await talk.say("/call a__b {}\n/call c__d {}")
    reply = await talk.answer((Text("twelve"),), (Text("noon"),))
    assert "twelve" in reply.text
    assert "noon" in reply.text
    assert reply.stop == "end_turn"


async def test_without_command_lines_it_lists_the_tools() -> None:
    reply = await commands().say("hello")
    assert "/call local__echo" in reply.text


async def test_without_tools_it_says_how_to_have_a_model() -> None:
    talk = commands()
    talk.request = ModelRequest(system="", tools=(), history=())
    assert "ANTHROPIC_API_KEY" in (await talk.say("hello")).text


async def test_arguments_that_are_no_json_are_passed_on_as_such() -> None:
    (call,) = (await commands().say("/call a__b {x: 1}")).tool_calls
    assert (call.arguments, call.raw_arguments) == (None, "{x: 1}")


async def test_a_command_that_joins_the_turn_is_run_beside_the_results() -> None:
    talk = commands()
    await talk.say("/call a__b {}")
    await talk.answer((Text("twelve"),))
    talk.history.pop()
    talk.history.append(UserMessage("/call c__d {}"))
    reply = await talk.ask()
    assert "twelve" in reply.text
    assert [call.name for call in reply.tool_calls] == ["c__d"]


async def test_the_closing_reply_makes_no_calls() -> None:
    talk = commands()
    talk.request = ModelRequest(system="", tools=(ECHO,), history=(), tool_choice="none")
    reply = await talk.say("/call a__b {}")
    assert reply.tool_calls == ()
    assert "not made" in reply.text


async def test_every_answer_says_that_no_model_is_there(tmp_path: Path) -> None:
    talk = commands()
    replies = [await talk.say("hello"), await talk.say("/call a__b {}"), await talk.answer()]
    talk = scripted(tmp_path / "s.json", {"replies": [{"text": "hi"}, {"calls": [{"tool": "a__b"}]}]})
    replies += [await talk.say("one"), await talk.say("two"), await talk.answer()]
    assert all("no model" in reply.text for reply in replies)
    assert all(reply.usage.cost_usd is None for reply in replies)


async def test_a_script_is_followed_by_the_number_of_replies_in_the_history(tmp_path: Path) -> None:
    call = {"tool": "a__b", "arguments": {"x": "ü"}}
    usage = {"input_tokens": 3, "output_tokens": 4}
    replies = [{"text": "one", "calls": [call]}, {"text": "two", "usage": usage, "stop": "max_tokens"}]
    talk = scripted(tmp_path / "s.json", {"replies": replies})
    first = await talk.say("go")
    assert first.tool_calls[0].arguments == {"x": "ü"}
    second = await Talk(talk.model, talk.history).answer()
    assert second.text.endswith("two")
    assert (second.stop, second.usage.input_tokens, second.usage.output_tokens) == ("max_tokens", 3, 4)
    assert "over after 2 replies" in (await talk.say("more")).text


async def test_a_script_may_break_arguments(tmp_path: Path) -> None:
    talk = scripted(tmp_path / "s.json", {"replies": [{"calls": [{"tool": "a__b", "arguments": "{oops"}]}]})
    (call,) = (await talk.say("go")).tool_calls
    assert (call.arguments, call.raw_arguments) == (None, "{oops")


async def test_a_scripted_error_fails_as_often_as_it_says(tmp_path: Path) -> None:
    error = {"status": 429, "message": "slow", "retry_after": 0, "times": 2}
    talk = scripted(tmp_path / "s.json", {"replies": [{"text": "there", "error": error}]}, retries=True)
    assert (await talk.say("go")).text.endswith("there")
    assert len(talk.happenings) == 3


@pytest.mark.parametrize(("status", "error"), [(500, TransientModelError), (400, ModelError)])
async def test_a_scripted_error_is_read_as_a_providers(
    tmp_path: Path, status: int, error: type[ModelError]
) -> None:
    talk = scripted(tmp_path / "s.json", {"replies": [{"error": {"status": status, "message": "bang"}}]})
    with pytest.raises(ModelError, match="bang") as caught:
        await talk.say("go")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "the file: Invalid JSON"),
        ('{"replies": [{"txt": "a"}]}', r"replies\.0\.txt"),
        ('{"replies": [{"calls": [{}]}]}', r"replies\.0\.calls\.0\.tool"),
        ("{}", "replies: Field required"),
    ],
)
async def test_a_wrong_script_is_refused_by_file_and_place(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"wrong\.json: {place}"):
        ModelCatalog({}, {}).open_model(f"scripted:{path}")


async def test_a_missing_script_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.json: No such file"):
        ModelCatalog({}, {}).open_model(f"scripted:{tmp_path / 'none.json'}")
