"""Command lines that start agent-mcp are told from those that only look like it."""

import pytest

from agent_mcp.config.chaining import own_arguments


@pytest.mark.parametrize(
    "command",
    [
        "agent-mcp serve",
        "/opt/x/bin/agent-mcp serve",
        r"C:\Tools\agent-mcp.exe serve",
        "C:\\npm\\Agent-MCP.CMD serve",
        "python -m agent_mcp serve",
        "/usr/bin/python3.12 -u -X dev -m agent_mcp serve",
        "python.exe -magent_mcp serve",
        "py -m agent_mcp serve",
        "python /x/agent_mcp/__main__.py serve",
        "python /venv/bin/agent-mcp serve",
        "uvx agent-mcp serve",
        "uvx agent-mcp@latest serve",
        "uvx agent-mcp[postgres]==0.1 serve",
        "uvx --python 3.12 --from agent-mcp agent-mcp serve",
        "uv tool run agent-mcp serve",
        "uv run --directory /x agent-mcp serve",
        "uv --directory /x run agent-mcp serve",
        "uv run python -m agent_mcp serve",
        "pipx run agent-mcp serve",
        "env A=1 B=2 agent-mcp serve",
        "/usr/bin/env -u X -- agent-mcp serve",
        "cmd /d /c agent-mcp serve",
        "poetry -C /x run agent-mcp serve",
        "conda run -n env agent-mcp serve",
        "mise x python -- uvx agent-mcp serve",
        "wsl.exe -d Ubuntu agent-mcp serve",
        "powershell.exe -NoProfile -Command agent-mcp serve",
        "nice -n 5 agent-mcp serve",
    ],
)
def test_a_line_that_starts_agent_mcp_is_seen_through_every_launcher(command: str) -> None:
    assert list(own_arguments(command.split(" ")) or ()) == ["serve"]


@pytest.mark.parametrize(
    "script",
    [
        "agent-mcp serve",
        "exec agent-mcp serve",
        "cd /x && A=1 agent-mcp serve",
        ". ./env; exec agent-mcp serve",
    ],
)
def test_a_shell_line_is_seen_through(script: str) -> None:
    assert list(own_arguments(["bash", "-lc", script]) or ()) == ["serve"]


def test_a_whole_line_behind_cmd_is_seen_through() -> None:
    assert list(own_arguments(["cmd", "/c", "agent-mcp serve"]) or ()) == ["serve"]


@pytest.mark.parametrize(
    "command",
    [
        "",
        "uvx mcp-server-git --repository /src/agent-mcp",
        "uvx --from agent-mcp other-tool",
        "uvx",
        "uv pip install agent-mcp",
        "python -m http.server",
        "python -m",
        "python",
        "python server.py agent-mcp",
        "my-agent-mcp",
        "npx agent-mcp-tools",
        "cat agent-mcp",
        "env",
        "bash agent-mcp-wrapper.sh",
        "bash -c 'unclosed",
        "poetry -C /src/agent-mcp run other",
        "poetry add agent-mcp",
        "sudo cat agent-mcp",
    ],
)
def test_a_line_that_only_mentions_it_is_not_taken_for_it(command: str) -> None:
    assert own_arguments(command.split(" ")) is None
