"""Each entry of mcpServers stands for itself: a bad one costs no other."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent_mcp.config.load import load_config
from agent_mcp.config.schema import Config
from tests.config.conftest import Load

ECHO: dict[str, Any] = {"command": "echo"}


def load_entry(load: Load, entry: Any, **environ: str) -> Config:
    """A config of ours with this entry, `it`, and a sound one beside it."""
    config = load({"defaults": {}, "mcpServers": {"it": entry, "sound": ECHO}}, environ)
    assert "sound" in config.servers
    return config


def test_strings_are_expanded_in_every_part_of_an_entry(load: Load, tmp_path: Path) -> None:
    entry = {
        "command": "${X}/run",
        "args": ["--at", "${X}"],
        "env": {"A": "${X}"},
        "cwd": "${X}",
        "timeout": "${SECONDS:-7}",
    }
    server = load_entry(load, entry, X="x").servers["it"]
    assert (server.command, server.args, server.env) == ("x/run", ("--at", "x"), {"A": "x"})
    assert (server.cwd, server.timeout) == (str(tmp_path / "x"), 7.0)


def test_an_unset_variable_makes_that_server_unavailable_and_names_server_key_and_variable(
    load: Load,
) -> None:
    entry = {"url": "https://x/mcp", "headers": {"Authorization": "Bearer ${DOCS_TOKEN}"}}
    config = load_entry(load, entry)
    (problem,) = config.problems
    for text in (config.unavailable["it"], f"{problem.place} {problem.message}"):
        assert "mcpServers.it.headers.Authorization" in text
        assert "DOCS_TOKEN is not set" in text
    assert problem.server == "it"
    assert "DOCS_TOKEN" in problem.hint


def test_an_unset_variable_in_a_disabled_server_is_no_problem(load: Load) -> None:
    config = load_entry(load, {"command": "${NOT_SET}", "disabled": True})
    assert (config.problems, config.unavailable, config.disabled) == ((), {}, ("it",))


def test_an_unknown_key_is_a_warning_with_the_nearest_and_the_server_stays(load: Load) -> None:
    config = load_entry(load, {**ECHO, "timeuot": 3})
    (problem,) = config.problems
    assert problem.place.endswith("mcpServers.it.timeuot")
    assert "`timeout`" in problem.hint
    assert problem.server is None
    assert "it" in config.servers


def test_what_hosts_write_for_themselves_is_ignored_quietly(load: Load) -> None:
    config = load_entry(load, {**ECHO, "autoApprove": ["x"], "icon": {}, "description": "d"})
    assert config.problems == ()
    assert config.ignored_keys == ("it.autoApprove", "it.icon", "it.description")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("echo", "must be an object, not a string"),
        (None, "must be an object, not null"),
        ({}, "neither `command` nor `url`"),
        ({"command": ""}, "neither `command` nor `url`"),
        ({**ECHO, "url": "http://x"}, "both `command` and `url`"),
        ({"type": "stdio", "url": "http://x"}, "no `command`"),
        ({"type": "http", **ECHO}, "no `url`"),
        ({"type": "grpc", **ECHO}, "must be one of 'stdio', 'http' or 'sse'"),
        ({"url": "ftp://x"}, "not an http or https address"),
        ({"url": "localhost:8000/mcp"}, "not an http or https address"),
        ({"url": "http://"}, "not an http or https address"),
        ({"url": "http://[::1/mcp"}, "not an http or https address"),
        ({"url": "http://x:99999/"}, "not an http or https address"),
        ({"command": ["echo"]}, "must be a string, not a list"),
        ({**ECHO, "args": "x"}, "must be a list, not a string"),
        ({**ECHO, "env": {"A": None}}, "must be a string, not null"),
        ({**ECHO, "timeout": 0}, "must be more than 0"),
        ({**ECHO, "timeout": "soon"}, "must be a number, not a string"),
    ],
)
def test_a_senseless_entry_is_unavailable_with_the_reason(load: Load, entry: Any, words: str) -> None:
    config = load_entry(load, entry)
    assert words in config.unavailable["it"]
    assert "mcpServers.it" in config.unavailable["it"]
    assert "it" not in config.servers


def test_no_value_of_an_entry_is_ever_quoted(load: Load) -> None:
    config = load_entry(load, {"url": "htp://${TOKEN}@x", "headers": {"A": ["${TOKEN}"]}}, TOKEN="hush-hush")
    assert "hush" not in str(config.unavailable) + str(config.problems)


def test_numbers_stand_for_strings_where_strings_are_wanted(load: Load) -> None:
    server = load_entry(load, {**ECHO, "args": ["--port", 80], "env": {"PORT": 80}}).servers["it"]
    assert (server.args, server.env) == (("--port", "80"), {"PORT": "80"})


@pytest.mark.parametrize("name", ["streamable-http", "streamableHttp", "streamable_http", "http"])
def test_the_names_that_hosts_have_for_http_mean_http(load: Load, name: str) -> None:
    assert load_entry(load, {"type": name, "url": "http://x/mcp"}).servers["it"].type == "http"


def test_the_home_is_expanded_in_command_and_cwd(load: Load, tmp_path: Path) -> None:
    server = load_entry(load, {"command": "~/bin/x", "cwd": "~", "args": ["~/y"]}).servers["it"]
    assert server.command == str(tmp_path / "home" / "bin" / "x")
    assert server.cwd == str(tmp_path / "home")
    assert server.args == ("~/y",)


def test_a_host_s_entry_that_starts_agent_mcp_is_left_out_and_said(load: Load) -> None:
    config = load({"mcpServers": {"agents": {"command": "/opt/bin/agent-mcp"}, "time": ECHO}})
    assert (list(config.servers), list(config.left_out)) == (["time"], ["agents"])
    assert config.unavailable == {}
    (problem,) = config.problems
    assert "left out" in problem.message and "mcpServers.agents" in problem.place
    assert 'add "defaults": {} to have it as a server' in problem.hint


@pytest.mark.parametrize(
    "broken", [{"env": {"KEY": "${NOT_SET}"}}, {"timeout": "soon"}, {"args": ["${NOT_SET}"]}]
)
def test_a_host_s_entry_of_agent_mcp_is_left_out_also_where_we_could_not_use_it(
    load: Load, broken: dict[str, Any]
) -> None:
    config = load({"mcpServers": {"agents": {"command": "agent-mcp", **broken}, "time": ECHO}})
    assert (list(config.servers), list(config.left_out), config.unavailable) == (["time"], ["agents"], {})


def test_in_our_own_config_agent_mcp_may_start_another_agent_mcp(load: Load, tmp_path: Path) -> None:
    config = load_entry(load, {"command": "agent-mcp", "args": ["serve", "--config", "other.json"]})
    assert "it" in config.servers


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "agent-mcp", "args": ["serve", "--config", "{file}"]},
        {"command": "agent-mcp", "args": ["--config={file}"]},
        {"command": "agent-mcp", "args": ["--config", "config.json"], "cwd": "."},
        {"command": "agent-mcp", "env": {"AGENT_MCP_CONFIG": "{file}"}},
        {"command": "agent-mcp", "inherit_env": ["AGENT_MCP_CONFIG"]},
        {"command": "python3", "args": ["-m", "agent_mcp", "--config", "{dir}/../{name}/config.json"]},
    ],
)
def test_an_entry_that_would_read_this_same_config_is_refused(
    load: Load, tmp_path: Path, entry: dict[str, Any]
) -> None:
    file = tmp_path / "config.json"
    values = {"{file}": str(file), "{dir}": str(tmp_path), "{name}": tmp_path.name}
    text = json.dumps(entry)
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    config = load_entry(load, json.loads(text), AGENT_MCP_CONFIG=str(file))
    assert config.unavailable["it"].startswith("RECURSION_LIMIT: ")
    assert "sound" in config.servers


def test_the_users_own_config_may_not_start_a_bare_agent_mcp(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "agent-mcp" / "config.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"defaults": {}, "mcpServers": {"me": {"command": "uvx", "args": ["agent-mcp"]}}}')
    assert set(load_config(None, {"HOME": str(tmp_path)}).unavailable) == {"me"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"approvals": {"alow": ["x"]}}, "mcpServers.it.approvals.alow"),
        ({"approvals": {"taint": "off"}}, "mcpServers.it.approvals.taint"),
        ({"approvals": "on"}, 'must be an object or "off"'),
        ({"outward": "all"}, "mcpServers.it.outward"),
        ({"pins": "maybe"}, "mcpServers.it.pins"),
    ],
)
def test_a_wrong_word_on_trust_makes_the_server_unavailable_and_names_the_place(
    load: Load, wrong: dict[str, Any], words: str
) -> None:
    read = load_entry(load, {**ECHO, **wrong})
    assert any(words in f"{problem.place} {problem.message}" for problem in read.problems)
    assert "it" in read.unavailable


def test_a_field_that_we_fill_ourselves_is_no_key_of_an_entry(load: Load) -> None:
    (problem,) = load({"mcpServers": {"docs": {"command": "x", "confidential": ["y"]}}}).problems
    assert problem.place.endswith("mcpServers.docs.confidential")
    assert "`confidential`" not in problem.hint
