"""`agent-mcp install`: our entry comes into the host's own file, and nothing else in it changes."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent_mcp.__main__ import main
from tests.cli.conftest import Machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")

PLACES = {
    "claude-desktop": (".config/Claude/claude_desktop_config.json", "mcpServers"),
    "claude-code": (".claude.json", "mcpServers"),
    "cursor": (".cursor/mcp.json", "mcpServers"),
    "vscode": (".config/Code/User/mcp.json", "servers"),
    "codex": (".codex/config.toml", "mcp_servers"),
}
OTHERS = """{
    "theme":   "dark", "ratio": 1e5,
    "mcpServers": {
        "other": {"command": "x",   "args": []}
    },
    "last": [1,2]
}"""
CODEX = """# mine
model = "o9"

[mcp_servers.other] # keep
command = "x"

# about the end
[[things]]
n = 1
"""


def put(machine: Machine, host: str, text: str | None = None) -> Path:
    """The host's file; with None only its folder."""
    file = machine.home / PLACES[host][0]
    file.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        file.write_bytes(text.encode())
    return file


def backups(file: Path) -> list[Path]:
    return list(file.parent.glob(f"{file.name}.*.bak"))


def entry_of(file: Path, host: str, name: str = "agent") -> dict[str, Any]:
    text = file.read_text()
    data = tomllib.loads(text) if host == "codex" else json.loads(text)
    return data[PLACES[host][1]][name]


@pytest.mark.parametrize("host", PLACES)
def test_a_host_without_a_file_gets_one_with_an_entry_that_starts(machine: Machine, host: str) -> None:
    (machine.home / ".claude").mkdir()
    file = put(machine, host)
    done = machine.run("install", host, ANTHROPIC_API_KEY="sk-ant-secret", AGENT_MCP_STORE="here.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(file) in done.stdout and "No key was written" in done.stdout
    entry = entry_of(file, host)
    assert Path(entry["command"]).is_absolute()
    assert entry["env"] == {"PATH": os.defpath, "AGENT_MCP_STORE": f"sqlite:///{machine.home}/here.db"}
    assert entry.get("type") == ("stdio" if host in ("claude-code", "vscode") else None)
    assert ("startup_timeout_sec" in entry, "tool_timeout_sec" in entry) == (host == "codex",) * 2
    assert "secret" not in file.read_text()
    assert (file.stat().st_mode & 0o777, backups(file)) == (0o600, [])


def test_every_other_byte_of_the_file_stays_and_the_old_one_is_kept(machine: Machine) -> None:
    file = put(machine, "cursor", OTHERS)
    file.chmod(0o640)
    config = machine.write_config({})
    assert machine.run("install", "cursor", "--config", str(config)).returncode == 0
    text = file.read_text()
    begin, end = OTHERS.split("\n    },\n")
    assert text.startswith(f'{begin},\n        "agent": {{\n            "command": ')
    assert text.endswith(f"\n        }}\n    }},\n{end}")
    assert entry_of(file, "cursor")["args"][-2:] == ["--config", str(config)]
    (backup,) = backups(file)
    assert backup.read_text() == OTHERS
    assert file.stat().st_mode & 0o777 == backup.stat().st_mode & 0o777 == 0o640


def test_the_comments_and_tables_of_a_toml_file_stay(machine: Machine) -> None:
    file = put(machine, "codex", CODEX)
    assert machine.run("install", "codex").returncode == 0
    assert file.read_text().startswith(f"{CODEX}\n[mcp_servers.agent]\n")


def test_the_comments_of_a_file_in_jsonc_stay_with_what_they_are_about(machine: Machine) -> None:
    before = """// {"not": "this"}
{
\t/* mine,
 * all */
\t"servers": {
\t\t"web": {"type": "http", "url": "https://a/b"}, // the web
\t},
}
"""
    file = put(machine, "vscode", before)
    assert machine.run("install", "vscode").returncode == 0
    begin, _, end = before.partition(" // the web\n")
    after = file.read_text()
    assert after.startswith(f'{begin} // the web\n\t\t"agent": {{\n\t\t\t"type": "stdio"')
    assert after.endswith(f"\t\t}}\n{end}")
    assert machine.run("install", "vscode").stdout.endswith("nothing to do\n")


def test_a_comment_where_no_server_is_yet_stays(machine: Machine) -> None:
    file = put(machine, "vscode", '{\n  "servers": {\n    // none yet\n  }\n}\n')
    assert machine.run("install", "vscode").returncode == 0
    assert file.read_text().startswith('{\n  "servers": {\n    // none yet\n    "agent": {\n')


def test_codex_is_found_where_its_variable_says(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert machine.run("install", "codex", CODEX_HOME=str(tmp_path / "elsewhere")).returncode == 0
    assert "[mcp_servers.agent]" in (tmp_path / "elsewhere" / "config.toml").read_text()


@pytest.mark.parametrize(("host", "text"), [("cursor", OTHERS), ("codex", CODEX), ("vscode", '{"a":1}')])
def test_a_second_time_nothing_is_done(machine: Machine, host: str, text: str) -> None:
    file = put(machine, host, text)
    machine.run("install", host)
    once = file.read_bytes()
    done = machine.run("install", host)
    assert (done.returncode, file.read_bytes(), len(backups(file))) == (0, once, 1)
    assert "nothing to do" in done.stdout


def test_a_new_config_comes_into_our_entry_and_what_the_user_added_stays(machine: Machine) -> None:
    ours = '[mcp_servers.agent]\ncommand = "/old/agent-mcp"\ntool_timeout_sec = 600\n\n'
    sub = '[mcp_servers.agent.env]\nANTHROPIC_API_KEY = "k"\n\n'
    rest = '# the next\n[mcp_servers.z]\ncommand = "z"\n'
    file = put(machine, "codex", ours + sub + rest)
    config = machine.write_config({})
    done = machine.run("install", "codex", "--config", str(config))
    assert (done.returncode, "No key was written" in done.stdout) == (0, False), "it has one"
    entry = entry_of(file, "codex")
    assert (entry["tool_timeout_sec"], entry["env"]["ANTHROPIC_API_KEY"]) == (600, "k")
    assert entry["args"][-1] == str(config) and entry["command"] != "/old/agent-mcp"
    assert file.read_text().endswith(f"\n\n{rest}")


def test_an_entry_of_another_program_is_left_alone(machine: Machine) -> None:
    other = {"command": "somebody-else"}
    file = put(machine, "cursor", json.dumps({"mcpServers": {"agent": other}}))
    machine.run("install", "cursor")
    assert entry_of(file, "cursor") == other
    assert Path(entry_of(file, "cursor", "agent-mcp")["command"]).is_absolute()
    both = json.dumps({"mcpServers": {"agent": other, "agent-mcp": other}})
    put(machine, "cursor", both)
    done = machine.run("install", "cursor")
    assert (done.returncode, file.read_text()) == (1, both)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("cursor", '{\n  // my servers\n  "mcpServers": {}\n}'),
        ("vscode", '{\n  /* my servers\n  "servers": {}\n}'),
        ("cursor", '{"mcpServers": {'),
        ("cursor", '{"mcpServers": []}'),
        ("cursor", '{"a": 1, "mcpServers": {}, "mcpServers": {"x": {}}, "b": '),
        ("codex", "mcp_servers = { }\n"),
        ("codex", "broken = \n"),
    ],
)
def test_what_cannot_be_changed_safely_is_not_and_the_entry_is_shown(
    machine: Machine, host: str, text: str
) -> None:
    file = put(machine, host, text)
    done = machine.run("install", host)
    assert (done.returncode, file.read_text(), backups(file)) == (1, text, [])
    (line,) = done.stderr.splitlines()
    assert str(file) in line and "Paste" in line
    assert PLACES[host][1] in done.stdout and "command" in done.stdout


def test_dry_run_shows_the_change_alone_and_writes_nothing(machine: Machine) -> None:
    text = OTHERS
    file = put(machine, "cursor", text)
    done = machine.run("install", "cursor", "--dry-run")
    assert (done.returncode, file.read_text(), backups(file)) == (0, text, [])
    assert '+        "agent": {' in done.stdout and "theme" not in done.stdout
    put(machine, "claude-desktop")
    assert machine.run("install", "claude-desktop", "--dry-run").returncode == 0
    assert not (machine.home / PLACES["claude-desktop"][0]).exists()


@pytest.mark.parametrize("host", PLACES)
def test_a_host_that_is_not_installed_is_not_invented(machine: Machine, host: str) -> None:
    done = machine.run("install", host)
    assert done.returncode == 1
    assert "does not seem to be installed" in done.stderr and "by hand" in done.stderr
    assert [path.name for path in machine.home.rglob("*")] == []


def test_a_link_to_the_file_stays_a_link(machine: Machine) -> None:
    file = put(machine, "cursor")
    real = machine.home / "dotfiles.json"
    real.write_text("{}")
    file.symlink_to(real)
    assert machine.run("install", "cursor").returncode == 0
    assert file.is_symlink() and "agent" in json.loads(real.read_text())["mcpServers"]


def test_line_ends_and_a_byte_order_mark_stay(machine: Machine) -> None:
    file = put(machine, "cursor", '\ufeff{\r\n\t"a": {}\r\n}\r\n')
    assert machine.run("install", "cursor").returncode == 0
    text = file.read_bytes().decode()
    assert text.startswith('\ufeff{\r\n\t"a": {},\r\n\t"mcpServers": {\r\n\t\t"agent": {\r\n\t\t\t')
    assert text.count("\n") == text.count("\r\n")


def test_an_unknown_host_is_wrong_usage(machine: Machine) -> None:
    assert machine.run("install", "emacs").returncode == 2


def test_a_file_that_cannot_be_read_or_written_is_named_in_one_line(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = put(machine, "cursor")
    file.mkdir()
    done = machine.run("install", "cursor")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{file} was not changed: it can't be read" in line and "--debug" not in line
    file.rmdir()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    monkeypatch.setenv("HOME", str(machine.home))
    assert main(["install", "cursor"]) == 1
    assert f"{file} was not changed: {file.parent} can't be written" in capsys.readouterr().err
