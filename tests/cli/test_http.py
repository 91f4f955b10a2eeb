"""Serving over streamable HTTP, with a real client."""

import signal
import time
from typing import Any

import anyio
import pytest
from mcp.client import Client

from tests.cli.conftest import Host, Machine

pytestmark = pytest.mark.anyio


def address_of(host: Host) -> str:
    """Where it says that it listens."""
    assert host.process.stderr is not None
    line = host.process.stderr.readline().decode()
    assert "listening on http://127.0.0.1:" in line
    return line.split()[-1]


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_session_runs_over_http_in_both_eras(machine: Machine, mode: str) -> None:
    with machine.serve("serve", "--transport", "http", "--port", "0") as host, anyio.fail_after(30):
        address = await anyio.to_thread.run_sync(address_of, host)
        async with Client(address, mode=mode) as client:
            result = await client.call_tool("start_session", {"message": "hello"})
        content = result.structured_content
        assert content is not None and content["stop_reason"] == "end_turn"
        host.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert await anyio.to_thread.run_sync(host.process.wait, 10) == 143
        assert time.monotonic() - begun < 2.5


def test_an_address_that_others_can_reach_is_refused(machine: Machine) -> None:
    done = machine.run("serve", "--transport", "http", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "authentication" in done.stderr


TOKEN = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    ("server", "why"),
    [
        ({"tokens": [{"name": "ada", "token": TOKEN}]}, "server.allowed_hosts: is needed"),
        (
            {"tokens": [{"name": "ada", "token_env": "NOT_SET"}]},
            "server.tokens.0.token_env: the variable NOT_SET",
        ),
        ({"state_key_env": ["NOT_SET"]}, "server.state_key_env: the variable NOT_SET"),
    ],
)
def test_what_would_let_in_the_wrong_ones_is_refused_with_its_place(
    machine: Machine, server: dict[str, Any], why: str
) -> None:
    config = str(machine.write_config({"server": server}))
    done = machine.run("serve", "--transport", "http", "--host", "0.0.0.0", "--config", config)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("agent-mcp: ")]
    assert f"config.json: {why}" in line and TOKEN not in line


def test_a_token_that_is_not_set_is_nothing_to_other_commands(machine: Machine) -> None:
    config = str(machine.write_config({"server": {"tokens": [{"name": "ada", "token_env": "NOT_SET"}]}}))
    assert machine.run("sessions", "list", "--config", config).returncode == 0


def test_a_port_that_is_taken_ends_with_1_in_one_line(machine: Machine) -> None:
    with machine.serve("serve", "--transport", "http", "--port", "0") as host:
        port = address_of(host).split(":")[2].split("/")[0]
        done = machine.run("serve", "--transport", "http", "--port", port)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "--port" in line
