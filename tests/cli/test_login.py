"""`agent-mcp login` and `logout`, against a server that wants a login."""

import json
import re
import subprocess
from argparse import Namespace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from agent_mcp.cli.login import run
from agent_mcp.cli.parser import parse
from agent_mcp.errors import ConfigError
from tests.cli.conftest import PROGRAM, Machine
from tests.support.authority import browse, open_authority


@pytest.mark.anyio
async def test_a_person_logs_in_by_the_address_that_is_printed_and_doctor_sends_them_there(
    machine: Machine,
) -> None:
    with anyio.fail_after(30):
        async with open_authority() as authority:
            config = machine.write_config({"defaults": {}, "mcpServers": {"docs": {"url": authority.url}}})
            options = ("--config", str(config))
            told = json.loads(await _output(machine, "doctor", "--json", *options))
            (finding,) = (each for each in told["findings"] if each["subject"] == "server docs")
            printed = await _log_in(machine, "login", "docs", "--no-browser", *options)
    assert finding["level"] == "FAIL"
    assert finding["fix"] == "run `agent-mcp login docs`"
    assert printed.endswith("docs: logged in; 1 tools\n")
    assert "access-" not in printed


async def _output(machine: Machine, *arguments: str) -> str:
    done = await anyio.run_process(
        [*PROGRAM, *arguments], env=machine.environ, cwd=machine.home, check=False, stderr=None
    )
    return done.stdout.decode()


async def _log_in(machine: Machine, *arguments: str) -> str:
    printed = ""
    async with await anyio.open_process(
        [*PROGRAM, *arguments], env=machine.environ, cwd=machine.home, stdin=subprocess.DEVNULL, stderr=None
    ) as process:
        assert process.stdout is not None
        async for text in TextReceiveStream(process.stdout):
            printed += text
            if text and (found := re.search(r"^ {2}(http\S+)$", printed, re.MULTILINE)) and "\n\nand" in text:
                await browse(found[1])
    assert process.returncode == 0
    return printed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dosc", "has no server 'dosc' (did you mean `docs`?)"),
        ("time", "is a program; only servers behind HTTP have logins"),
        ("keyed", "says in `headers` who we are"),
        ("off", "it is disabled"),
        ("broken", "NOT_SET is not set"),
    ],
)
def test_a_server_that_can_have_no_login_is_named(tmp_path: Path, name: str, words: str) -> None:
    url = "https://docs.example.org/mcp"
    servers: dict[str, Any] = {
        "docs": {"url": url},
        "time": {"command": "time"},
        "keyed": {"url": url, "headers": {"Authorization": "Bearer t"}},
        "off": {"url": url, "disabled": True},
        "broken": {"url": "https://${NOT_SET}/mcp"},
    }
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"defaults": {}, "mcpServers": servers}))
    with pytest.raises(ConfigError) as raised:
        run(_options("login", name, "--config", str(config)))
    assert words in str(raised.value)
    assert str(config) in str(raised.value)


def test_a_machine_needs_no_login(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oauth = {"client_id": "robot", "client_secret": "robot-secret", "grant": "client_credentials"}
    servers = {"docs": {"url": "https://docs.example.org/mcp", "oauth": oauth}}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"defaults": {}, "mcpServers": servers}))
    assert run(_options("login", "docs", "--config", str(config))) == 0
    assert "docs needs nobody" in capsys.readouterr().out


def test_logging_out_without_a_login_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    config = tmp_path / "config.json"
    servers = {"docs": {"url": "https://docs.example.org/mcp"}}
    config.write_text(json.dumps({"defaults": {}, "mcpServers": servers}))
    assert run(_options("logout", "docs", "--config", str(config))) == 0
    assert capsys.readouterr().out == "docs: there was no login\n"


def _options(*arguments: str) -> Namespace:
    return parse(arguments)
