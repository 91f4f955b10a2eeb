"""The prompt `delegate`, and the completion of its arguments and of the resource templates' variables."""

from pathlib import Path

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference, TextContent

from tests.server.shelf import open_shelf, start
from tests.support.host import Era
from tests.support.world import calls, says

pytestmark = pytest.mark.anyio

DELEGATE = PromptReference(type="ref/prompt", name="delegate")
STEP = ResourceTemplateReference(type="ref/resource", uri="session://{session_id}/steps/{n}")
SESSION = ResourceTemplateReference(type="ref/resource", uri="session://{session_id}")
AGENT = ResourceTemplateReference(type="ref/resource", uri="agent://{name}")


async def text_of(client: Client, **arguments: str) -> str:
    """What the prompt says, as the user."""
    (message,) = (await client.get_prompt("delegate", arguments)).messages
    assert message.role == "user" and isinstance(message.content, TextContent)
    return message.content.text


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_the_prompt_tells_the_hosts_model_which_calls_to_make(tmp_path: Path, era: Era) -> None:
    async with open_shelf(tmp_path, era=era) as shelf:
        (prompt,) = (await shelf.client.list_prompts()).prompts
        text = await text_of(shelf.client, task="Sort my mail", agent="note taker")
    assert prompt.title and prompt.description and prompt.icons
    required = {argument.name: argument.required for argument in prompt.arguments or []}
    assert required == {"task": True, "agent": False}
    assert 'agent "note taker"' in text and text.endswith("Sort my mail")
    for tool in ("start_session", "send_message", "approve"):
        assert tool in text


async def test_without_an_agent_the_prompt_names_those_there_are(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        text = await text_of(shelf.client, task="Sort my mail")
    assert "- note taker: Takes notes.\n- nobody" in text


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("delegate", {}, "task: is required"),
        ("delegate", {"task": "  "}, "task: is required"),
        ("delegate", {"task": "t", "agent": "note-taker"}, "Known: note taker, nobody"),
        ("other", {"task": "t"}, "Known: delegate"),
    ],
)
async def test_a_prompt_that_cannot_be_made_says_why(
    tmp_path: Path, name: str, arguments: dict[str, str], why: str
) -> None:
    async with open_shelf(tmp_path) as shelf:
        with pytest.raises(MCPError, match=why) as refused:
            await shelf.client.get_prompt(name, arguments)
    assert refused.value.code == -32602


async def test_agent_names_are_completed_for_prompt_and_template(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        for ref, argument in ((DELEGATE, "agent"), (AGENT, "name")):
            completion = (await shelf.client.complete(ref, {"name": argument, "value": "no"})).completion
            assert completion.values == ["note taker", "nobody"]
            completion = (await shelf.client.complete(ref, {"name": argument, "value": "note"})).completion
            assert (completion.values, completion.total) == (["note taker"], 1)


async def test_session_ids_are_completed_from_id_and_title_for_their_principal_alone(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        await shelf.start("mail-1", "hello")
        await shelf.start("x-2", "sort the mail")
        await shelf.start("x-3", "something else")
        await start(shelf.service.for_principal("ada"), "mail-of-ada")
        for ref in (SESSION, STEP):
            completion = (
                await shelf.client.complete(ref, {"name": "session_id", "value": "mail"})
            ).completion
            assert completion.values == ["mail-1", "x-2"]
        every = (await shelf.client.complete(SESSION, {"name": "session_id", "value": ""})).completion
    assert every.values == ["x-3", "x-2", "mail-1"]


async def test_steps_are_completed_for_the_session_already_chosen(tmp_path: Path) -> None:
    async with open_shelf(tmp_path, calls(("t__look", {})), says("done")) as shelf:
        await shelf.start("s1")
        argument = {"name": "n", "value": ""}
        of_one = await shelf.client.complete(STEP, argument, context_arguments={"session_id": "s1"})
        of_none = await shelf.client.complete(STEP, argument)
    assert of_one.completion.values == ["0", "1"]
    assert of_none.completion.values == []


async def test_nothing_is_completed_in_what_is_not_ours(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        free = await shelf.client.complete(DELEGATE, {"name": "task", "value": "x"})
        assert free.completion.values == []
        for ref in (
            PromptReference(type="ref/prompt", name="other"),
            ResourceTemplateReference(type="ref/resource", uri="file://{path}"),
        ):
            with pytest.raises(MCPError, match="nothing to complete") as refused:
                await shelf.client.complete(ref, {"name": "x", "value": ""})
            assert refused.value.code == -32602
