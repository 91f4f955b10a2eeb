"""Host programs that no one here wrote, each of which starts the server from its own config and drives a whole turn.

The hosts' own model is a fake as well, on the wire that they speak; nothing leaves this machine.
"""

import json
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.support.host import ROOT, Home, Json
from tests.support.http import open_http
from tests.support.journey import call, calls, model_environ, says, script, work_done, worker
from tests.support.model_script import Answer, Call
from tests.support.model_server import ModelServer, open_model_server
from tests.support.node import node, node_package, requires_node

pytestmark = pytest.mark.anyio

OURS = {"^inner task": [calls(call("look", item="a"), call("look", item="b")), says("THE ANSWER IS 42.")]}
NOWHERE = "http://127.0.0.1:9"
"""A proxy that is not there: a host that wants to talk to the world can't."""


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncGenerator[Home]:
    """A home for the server, whose model is there while the block runs."""
    async with open_model_server(script(OURS)) as model:
        home = Home(folder / "agent", {"mcpServers": {"desk": worker(folder / "agent")}})
        home.folder.mkdir()
        home.environ = {**model_environ("openai-chat", model.port), "PYTHONPATH": str(ROOT)}
        home.write()
        yield home


WANTED = {"session_id": "s1", "message": "inner task"}


@asynccontextmanager
async def open_host_model(delegates: Answer) -> AsyncGenerator[ModelServer]:
    """The host's model: it delegates once, then it is done. It checks nothing: hosts have their own ways."""
    async with open_model_server(
        script({"please delegate": [delegates, says("The agent said it.")]}), validate=False
    ) as model:
        yield model


def entry(home: Home) -> Json:
    """The server as hosts' configs have it."""
    arguments = ["-m", "agent_mcp", "serve", "--config", str(home.config_file)]
    return {"command": sys.executable, "args": arguments, "env": home.environ}


async def run(command: Sequence[str], folder: Path, **environ: str) -> str:
    """Run a program to its end in an environment of its own; what it printed.

    Raises:
        AssertionError: it failed.
    """
    proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), NOWHERE)
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "NO_PROXY": "127.0.0.1,localhost"}
    with anyio.fail_after(45):
        done = await anyio.run_process(
            command, input=b"", cwd=folder, env={**proxies, **kept, **environ}, check=False
        )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{done.returncode}: {said}\n{done.stderr.decode(errors='replace')}"
    return said


def told_back(model: ModelServer) -> str:
    """The host's last request, which holds what our tool returned."""
    return model.requests[-1].body.decode()


async def ask_claude_code(folder: Path, server: Json, model: ModelServer) -> str:
    """What Claude Code says, headless, with this entry for the server."""
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"agent": server}}))
    claude = node_package("@anthropic-ai/claude-code-linux-x64/claude")
    said = await run(
        [
            *(claude, "-p", "please delegate", "--mcp-config", str(config), "--strict-mcp-config"),
            *("--allowedTools", "mcp__agent__start_session", "--output-format", "json"),
            *("--model", "claude-sonnet-4-5"),
        ],
        folder,
        ANTHROPIC_BASE_URL=model.anthropic_url,
        ANTHROPIC_API_KEY="sk-fake",
        DISABLE_TELEMETRY="1",
        DISABLE_AUTOUPDATER="1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        # Or its first request may go out before our tools are there; by itself it waits 5 s for them.
        MCP_CONNECTION_NONBLOCKING="0",
        MCP_CONNECT_TIMEOUT_MS="30000",
    )
    return json.loads(said)["result"]


@requires_node
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_claude_code_drives_a_turn(tmp_path: Path, transport: str) -> None:
    delegates = Answer(calls=(Call(name="mcp__agent__start_session", arguments=WANTED),))
    async with open_stage(tmp_path) as home, open_host_model(delegates) as model:
        if transport == "stdio":
            said = await ask_claude_code(tmp_path, entry(home), model)
        else:
            async with open_http(home) as served:
                server: Json = {"type": "http", "url": served.address}
                said = await ask_claude_code(tmp_path, server, model)
    assert said == "The agent said it."
    assert sorted(work_done(home)) == ["look a", "look b"]
    assert "THE ANSWER IS 42." in told_back(model)
    assert home.kinds()[-2:] == ["turn_ended", "delivered"]


@requires_node
async def test_codex_drives_a_turn(tmp_path: Path) -> None:
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
    item |= {"namespace": "mcp__agent", "name": "start_session", "arguments": json.dumps(WANTED)}
    async with open_stage(tmp_path) as home, open_host_model(Answer(blocks=(item,))) as model:
        codex_home = tmp_path / ".codex"
        codex_home.mkdir()
        (codex_home / "config.toml").write_text(codex_config(entry(home), model.openai_url))
        said = await run(
            [
                *(node(), node_package("@openai/codex/bin/codex.js"), "exec", "--skip-git-repo-check"),
                *("--dangerously-bypass-approvals-and-sandbox", "--json", "please delegate"),
            ],
            tmp_path,
            CODEX_HOME=str(codex_home),
            FAKE_KEY="x",
        )
    assert "The agent said it." in said
    assert sorted(work_done(home)) == ["look a", "look b"]
    assert "THE ANSWER IS 42." in told_back(model)


def codex_config(server: Json, base_url: str) -> str:
    """Codex's config.toml; JSON's strings and lists are TOML's too."""
    environ: Mapping[str, str] = server["env"]
    lines = [
        'model = "fake"\nmodel_provider = "fake"\napproval_policy = "never"',
        f'[model_providers.fake]\nname = "fake"\nbase_url = "{base_url}"',
        'wire_api = "responses"\nenv_key = "FAKE_KEY"',
        f"[mcp_servers.agent]\ncommand = {json.dumps(server['command'])}\nargs = {json.dumps(server['args'])}",
        "required = true\nstartup_timeout_sec = 30",
        "[mcp_servers.agent.env]",
        *(f"{name} = {json.dumps(value)}" for name, value in environ.items()),
    ]
    return "\n".join(lines)


@requires_node
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_finds_the_tools_portable_and_calls_one(tmp_path: Path, era: str) -> None:
    async with open_stage(tmp_path) as home:
        config = tmp_path / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"agent": entry(home)}}))
        inspector = node_package("@modelcontextprotocol/inspector/clients/launcher/build/index.js")
        command = [node(), inspector, "--cli", "--config", str(config), "--server", "agent"]
        command += ["--protocol-era", era, "-q"]
        listed = await run([*command, "--method", "tools/list", "--strict"], tmp_path)
        called = await run(
            [
                *command,
                *("--method", "tools/call", "--tool-name", "start_session"),
                *("--tool-args-json", json.dumps(WANTED), "--format", "json"),
            ],
            tmp_path,
        )
    assert '"start_session"' in listed and '"close_session"' in listed
    assert "THE ANSWER IS 42." in called
