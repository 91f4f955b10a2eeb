"""Downstream servers that no one here wrote, and a chain of our own."""

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.host import ROOT, Home, Json, open_host
from tests.support.journey import model_environ, says, script, transcript, worker
from tests.support.model_script import Answer, Call
from tests.support.model_server import open_model_server
from tests.support.node import node, node_package, requires_node

pytestmark = pytest.mark.anyio


def asks(*wanted: tuple[str, Json]) -> Answer:
    """A reply that calls tools by their whole names."""
    return Answer(calls=tuple(Call(name=name, arguments=arguments) for name, arguments in wanted))


async def results_of(folder: Path, servers: Json, *wanted: tuple[str, Json]) -> list[str]:
    """What the calls return, as the transcript has it, after a turn that ended well."""
    rules = {"go": [asks(*wanted), says("That was it.")]}
    with anyio.fail_after(40):
        async with open_model_server(script(rules)) as model:
            home = Home(folder, {"mcpServers": servers}, model_environ("openai-chat", model.port))
            async with open_host(home) as host:
                ended = await host.call("start_session", session_id="s1", message="go")
                entries = await transcript(host, "s1")
    assert (ended["text"], ended["warnings"]) == ("That was it.", [])
    assert {one["status"] for one in ended["steps"][0]["tool_calls"]} == {"ok"}, entries
    return [entry["result"] for entry in entries if entry["type"] == "tool_result"]


def module(name: str, *arguments: str) -> Json:
    """The entry of a server that is a Python module."""
    return {"command": sys.executable, "args": ["-m", name, *arguments]}


async def test_the_time_and_git_reference_servers_work(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    await anyio.run_process(["git", "init", "-q", "-b", "trunk", str(repository)])
    (repository / "new.txt").write_text("new")
    servers = {
        "time": module("mcp_server_time", "--local-timezone", "UTC"),
        "git": module("mcp_server_git", "--repository", str(repository)),
    }
    noon: Json = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    converted, status = await results_of(
        tmp_path,
        servers,
        ("time__convert_time", noon),
        ("git__git_status", {"repo_path": str(repository)}),
    )
    assert "21:00" in converted
    assert "new.txt" in status


@requires_node
async def test_the_everything_and_filesystem_reference_servers_work(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    file = tmp_path / "shared" / "a.txt"
    file.write_text("written by the test")
    everything = node_package("@modelcontextprotocol/server-everything/dist/index.js")
    filesystem = node_package("@modelcontextprotocol/server-filesystem/dist/index.js")
    servers = {
        "everything": {"command": node(), "args": [everything]},
        "files": {"command": node(), "args": [filesystem, str(file.parent)]},
    }
    echoed, added, read = await results_of(
        tmp_path,
        servers,
        ("everything__echo", {"message": "around"}),
        ("everything__get-sum", {"a": 2, "b": 40}),
        ("files__read_text_file", {"path": str(file)}),
    )
    assert "around" in echoed
    assert "42" in added
    assert "written by the test" in read


async def test_an_agent_may_have_another_agent_mcp_as_its_server(tmp_path: Path) -> None:
    inner, outer = Home(tmp_path / "inner"), Home(tmp_path / "outer")
    rules = {
        "^outer task": [
            asks(("agents__start_session", {"session_id": "below", "message": "inner task"})),
            says("The one below has done it."),
        ],
        "^inner task": [asks(("desk__look", {"item": "a"})), says("Done below.")],
    }
    with anyio.fail_after(40):
        async with open_model_server(script(rules)) as model:
            environ: dict[str, Any] = model_environ("openai-chat", model.port)
            inner.folder.mkdir()
            outer.folder.mkdir()
            inner.config = {"mcpServers": {"desk": worker(inner.folder)}}
            inner.write()
            outer.config = {"mcpServers": {"agents": chained(inner, environ)}, "agents": {}}
            outer.environ = environ
            async with open_host(outer) as host:
                ended = await host.call("start_session", session_id="above", message="outer task")
                entries = await transcript(host, "above")
    assert ended["text"] == "The one below has done it."
    assert ended["steps"][0]["tool_calls"][0]["status"] == "ok"
    (result,) = [entry["result"] for entry in entries if entry["type"] == "tool_result"]
    assert "Done below." in result
    assert [kind for session, _, _, kind, _ in inner.events() if session == "below"][-2:] == [
        "turn_ended",
        "delivered",
    ]


def chained(inner: Home, environ: Json) -> Json:
    """The entry of an agent-mcp of its own config."""
    arguments = ["serve", "--config", str(inner.config_file)]
    return {**module("agent_mcp", *arguments), "env": {**environ, "PYTHONPATH": str(ROOT)}}
