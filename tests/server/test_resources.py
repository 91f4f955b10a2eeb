"""Sessions and agents as resources: what is listed, what is read, and what is not there."""

import json
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents

from agent_mcp.server.resources import LISTED_SESSIONS
from tests.server.shelf import open_shelf, start
from tests.support.host import Era, open_host
from tests.support.http import open_http
from tests.support.journey import call, open_scene
from tests.support.journey import calls as replies_with_calls
from tests.support.journey import says as answers
from tests.support.world import calls, says

pytestmark = pytest.mark.anyio

ERAS: list[Era] = ["legacy", "auto"]
NOT_FOUND = {"legacy": -32002, "auto": -32602}


async def read(client: Client, uri: str) -> TextResourceContents:
    """The one text of a resource."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents) and contents.uri == uri
    return contents


@pytest.mark.parametrize("era", ERAS)
async def test_a_host_over_stdio_reads_what_its_agent_did(tmp_path: Path, era: Era) -> None:
    rules = {"hello": [replies_with_calls(call("look", item="a")), answers("Seen.")]}
    config = {"agents": {"scout": {"description": "Looks.", "approvals": {"ask": ["*__book"]}}}}
    with anyio.fail_after(30):
        async with open_scene(tmp_path, rules, config=config) as scene, open_host(scene.home, era) as host:
            await host.call("start_session", session_id="s1", message="hello")
            listed = await host.client.list_resources()
            transcript = await read(host.client, "session://s1")
            step = json.loads((await read(host.client, "session://s1/steps/0")).text)
            agent = await read(host.client, "agent://scout")
    assert [resource.uri for resource in listed.resources] == ["agent://scout", "session://s1"]
    assert transcript.mime_type == "text/markdown"
    assert "**User:** hello" in transcript.text and "look a: done" in transcript.text
    (made,) = step["tool_calls"]
    assert (made["name"], made["arguments"]) == ("desk__look", {"item": "a"})
    assert made["result"] == {"is_error": False, "content": [{"type": "text", "text": "look a: done"}]}
    assert "Looks." in agent.text and "- `desk__look`" in agent.text
    assert "- `desk__book` (a person is asked first)" in agent.text


@pytest.mark.parametrize("era", ERAS)
async def test_a_host_over_http_reads_the_same(tmp_path: Path, era: Era) -> None:
    with anyio.fail_after(30):
        async with (
            open_scene(tmp_path, {"hello": [answers("Hello.")]}) as scene,
            open_http(scene.home) as server,
            server.host(era) as host,
        ):
            await host.call("start_session", session_id="s1", message="hello")
            assert "Hello." in (await read(host.client, "session://s1")).text
            with pytest.raises(MCPError) as unknown:
                await host.client.read_resource("session://s2")
    assert unknown.value.code == NOT_FOUND[era]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    "uri",
    [
        "session://nobodys",
        "session://s1/steps/1",
        "session://s1/steps/01",
        "session://s1/steps",
        "session://not an id",
        "session://",
        "agent://unknown",
        "agent://",
        "file:///etc/passwd",
        "nothing",
    ],
)
async def test_what_is_not_there_is_refused_alike(tmp_path: Path, era: Era, uri: str) -> None:
    async with open_shelf(tmp_path, era=era) as shelf:
        await shelf.start("s1")
        with pytest.raises(MCPError) as refused:
            await shelf.client.read_resource(uri)
    assert (refused.value.code, refused.value.message) == (NOT_FOUND[era], "Resource not found")
    assert refused.value.data == {"uri": uri}


async def test_other_principals_sessions_are_neither_listed_nor_read(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        await start(shelf.service.for_principal("ada"), "adas")
        listed = await shelf.client.list_resources()
        errors: list[MCPError] = []
        for uri in ("session://adas", "session://nobodys"):
            with pytest.raises(MCPError) as refused:
                await shelf.client.read_resource(uri)
            errors.append(refused.value)
    assert not [resource for resource in listed.resources if resource.uri.startswith("session:")]
    foreign, unknown = errors
    assert (foreign.code, foreign.message) == (unknown.code, unknown.message)


async def test_every_kind_has_a_template_and_says_what_it_is(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        await shelf.start("s1", "Sort my mail")
        templates = (await shelf.client.list_resource_templates()).resource_templates
        agent, _, session = (await shelf.client.list_resources()).resources
    assert [one.uri_template for one in templates] == [
        "session://{session_id}",
        "session://{session_id}/steps/{n}",
        "agent://{name}",
    ]
    assert all(one.title and one.description and one.mime_type for one in templates)
    assert (agent.uri, agent.description) == ("agent://note%20taker", "Takes notes.")
    assert (session.uri, session.title) == ("session://s1", "Sort my mail")
    assert session.annotations is not None and agent.annotations is not None
    assert session.annotations.last_modified is not None
    assert (agent.annotations.priority or 0) > (session.annotations.priority or 0) > 0


async def test_the_list_goes_by_pages_from_the_newest_and_has_an_end(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        for number in range(LISTED_SESSIONS + 5):
            await start(shelf.service, f"s{number}", message=None)
        uris: list[str] = []
        pages, cursor = 0, ""
        while pages == 0 or cursor:
            page = await shelf.client.list_resources(cursor=cursor or None)
            uris += [resource.uri for resource in page.resources]
            pages, cursor = pages + 1, page.next_cursor
    newest = [f"session://s{number}" for number in range(LISTED_SESSIONS + 4, 4, -1)]
    assert uris == ["agent://note%20taker", "agent://nobody", *newest]
    assert pages > 1


@pytest.mark.parametrize("cursor", ["x", "50", "50:x", "0:1_5.s", "-1:1_5.s", "999:1_5.s"])
async def test_a_cursor_that_is_none_of_ours_is_refused(tmp_path: Path, cursor: str) -> None:
    async with open_shelf(tmp_path) as shelf:
        with pytest.raises(MCPError, match="cursor") as refused:
            await shelf.client.list_resources(cursor=cursor)
    assert refused.value.code == -32602


async def test_long_texts_come_in_one_piece(tmp_path: Path) -> None:
    message, argument = "words " * 5_000, "x" * 20_000
    plan = [calls(("t__look", {"text": argument})), says("answer " * 4_000)]
    async with open_shelf(tmp_path, *plan) as shelf:
        await shelf.start("s1", message)
        transcript = (await read(shelf.client, "session://s1")).text
        step = json.loads((await read(shelf.client, "session://s1/steps/0")).text)
    assert f"**User:** {message}\n" in transcript
    assert "answer " * 4_000 in transcript and argument in transcript
    assert step["tool_calls"][0]["arguments"] == {"text": argument}
    assert argument in step["tool_calls"][0]["result"]["content"][0]["text"]


async def test_an_agent_shows_its_limits_and_what_becomes_of_its_calls(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        text = (await read(shelf.client, "agent://note%20taker")).text
        shelf.world.tools.down.append("server t is down: it is gone")
        later = (await read(shelf.client, "agent://note%20taker")).text
    assert text.startswith("# note taker\n\nTakes notes.\n")
    assert "- Budget of a session: 200000 tokens, 0.5 USD" in text
    assert "- `t__look`: look" in text
    assert "- `t__put` (a person is asked first): put" in text
    assert "- `t__drop` (denied): drop" in text
    assert "server t is down" not in text and "- server t is down: it is gone" in later


async def test_hosts_are_told_how_long_each_list_holds(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        resources = await shelf.client.list_resources()
        templates = await shelf.client.list_resource_templates()
        prompts = await shelf.client.list_prompts()
        agent = await shelf.client.read_resource("agent://nobody")
    assert (resources.cache_scope, agent.cache_scope, agent.ttl_ms) == ("private", "private", 0)
    assert resources.ttl_ms <= 5_000
    for fixed in (templates, prompts):
        assert (fixed.cache_scope, fixed.ttl_ms) == ("public", 3_600_000)
