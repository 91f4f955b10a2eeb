"""What a config file says becomes a Config, or an error that a user can act on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent_mcp.config.load import load_config
from agent_mcp.errors import ConfigError
from tests.config.conftest import Load

OURS: dict[str, Any] = {"defaults": {}}
ECHO: dict[str, Any] = {"command": "echo"}


def refusal(load: Load, data: Any, environ: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(data, environ)
    return caught.value


def test_no_file_anywhere_is_an_empty_config(tmp_path: Path) -> None:
    config = load_config(None, {"HOME": str(tmp_path)})
    assert (config.path, config.servers, config.agents, config.problems) == (None, {}, {}, ())


def test_the_users_own_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "agent-mcp" / "config.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"mcpServers": {"a": {"command": "x"}}}')
    assert load_config(None, {"HOME": str(tmp_path)}).path == str(file)


def test_a_named_file_goes_before_the_environments_and_that_before_the_users_own(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.json" for name in ("named", "environ")}
    for file in files.values():
        file.write_text("{}")
    own = tmp_path / "agent-mcp" / "config.json"
    own.parent.mkdir()
    own.write_text("{}")
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "AGENT_MCP_CONFIG": str(files["environ"])}
    assert load_config(str(files["named"]), environ).path == str(files["named"])
    assert load_config(None, environ).path == str(files["environ"])
    assert load_config(None, {"XDG_CONFIG_HOME": str(tmp_path)}).path == str(own)


@pytest.mark.parametrize("where", ["--config", "AGENT_MCP_CONFIG"])
def test_a_named_file_that_is_missing_is_an_error_that_says_who_named_it(tmp_path: Path, where: str) -> None:
    missing = str(tmp_path / "nowhere.json")
    path, environ = (missing, {}) if where == "--config" else (None, {"AGENT_MCP_CONFIG": missing})
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ)
    assert missing in str(caught.value) and where in str(caught.value)


def test_a_directory_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names a directory"):
        load_config(str(tmp_path), {})


def test_a_tilde_in_a_named_path_is_the_home(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{}")
    assert load_config("~/c.json", {"HOME": str(tmp_path)}).path == str(tmp_path / "c.json")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    unreadable = tmp_path / "c.json"
    unreadable.write_text("{}")
    unreadable.chmod(0)
    if os.access(unreadable, os.R_OK):  # root reads everything but this
        unreadable = Path("/proc/self/mem")
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(str(unreadable), {})


def test_broken_json_is_named_with_line_and_column(load: Load) -> None:
    error = refusal(load, '{\n  "mcpServers": {\n    "a": {"command": "x"} "b": {}\n  }\n}')
    assert "config.json: line 3, column 27" in error.place
    assert "comma is missing" in error.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [('{"agents": {},}', "comma"), ('{"agents": [1,]}', "comma"), ('// mine\n{"agents": {}}', "no comments")],
)
def test_usual_slips_in_json_have_a_hint_of_their_own(load: Load, text: str, hint: str) -> None:
    assert hint in refusal(load, text).hint


def test_an_empty_file_is_an_error_with_its_place(load: Load) -> None:
    assert "line 1, column 1" in refusal(load, "").place


def test_numbers_that_json_does_not_have_are_refused(load: Load) -> None:
    assert "NaN" in refusal(load, '{"defaults": {"max_steps": NaN}}').problem


def test_endless_nesting_is_an_error_and_no_crash(load: Load) -> None:
    assert "not JSON" in refusal(load, "[" * 200_000).problem


def test_nesting_that_json_can_read_and_we_cannot_is_an_error_too(load: Load) -> None:
    deep = "[" * 900 + "]" * 900
    assert (
        "nested" in refusal(load, f'{{"mcpServers": {{"a": {{"command": "x", "oauth": {deep}}}}}}}').problem
    )


def test_half_a_character_is_an_error_for_it_could_not_be_written_anywhere(load: Load) -> None:
    assert "half a character" in refusal(load, '{"mcpServers": {"a\\ud800": {"command": "x"}}}').problem


def test_a_list_at_the_top_is_refused(load: Load) -> None:
    assert "must hold an object, not a list" in refusal(load, "[]").problem


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"agents": {"forscher": {"description": "Übergrößen"}}}', encoding=encoding)
    assert load_config(str(file), {}).agents["forscher"].description == "Übergrößen"


def test_another_encoding_is_an_error_that_says_which_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"agents": {}}', encoding="utf-16")
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load_config(str(file), {})


@pytest.mark.parametrize(
    ("data", "key", "meant"),
    [
        ({**OURS, "agnets": {}}, "agnets", "agents"),
        ({**OURS, "mcp_servers": {}}, "mcp_servers", "mcpServers"),
        ({"defaults": {"max_step": 3}}, "defaults.max_step", "max_steps"),
        ({"agents": {"a": {"instruction": ""}}}, "agents.a.instruction", "instructions"),
        ({"agents": {"a": {"budget": {"token": 1}}}}, "agents.a.budget.token", "tokens"),
        ({"agents": {"a": {"approvals": {"alow": []}}}}, "agents.a.approvals.alow", "allow"),
        ({"models": {"m": {"use": "a:b", "baseurl": "x"}}}, "models.m.baseurl", "base_url"),
        ({"server": {"wait": 1}}, "server.wait", "wait_seconds"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    load: Load, data: Any, key: str, meant: str
) -> None:
    error = refusal(load, data)
    assert error.place.endswith(f"config.json: {key}")
    assert f"`{meant}`" in error.hint


@pytest.mark.parametrize(
    ("data", "key", "words"),
    [
        ({"agents": []}, "agents", "must be an object, not a list"),
        ({"agents": {"a": 3}}, "agents.a", "must be an object, not a number"),
        ({"agents": {" ": {}}}, "agents", "empty name"),
        ({"agents": {"a": {"tools": "x"}}}, "agents.a.tools", "must be a list, not a string"),
        ({"agents": {"a": {"tools": [3]}}}, "agents.a.tools.0", "must be a string, not a number"),
        ({"agents": {"a": {"max_steps": 0}}}, "agents.a.max_steps", "must be at least 1"),
        ({"agents": {"a": {"max_steps": "9"}}}, "agents.a.max_steps", "must be a whole number, not a string"),
        ({"agents": {"a": {"max_steps": True}}}, "agents.a.max_steps", "must be a whole number"),
        ({"agents": {"a": {"max_steps": 1.5}}}, "agents.a.max_steps", "must be a whole number"),
        ({"agents": {"a": {"budget": {"seconds": 0}}}}, "agents.a.budget.seconds", "must be more than 0"),
        ({"agents": {"a": {"approvals": "of"}}}, "agents.a.approvals", 'must be an object or "off"'),
        ({"agents": {"a": {"approvals": [1]}}}, "agents.a.approvals", 'an object or "off", not a list'),
        (
            {"agents": {"a": {"approvals": {"ask": 1}}}},
            "agents.a.approvals.ask",
            "must be a list, not a number",
        ),
        (
            {"defaults": {"allow_any_model": 1}},
            "defaults.allow_any_model",
            "must be true or false, not a number",
        ),
        ({"models": {"m": {}}}, "models.m.use", "is missing"),
        ({**OURS, "mcpServers": []}, "mcpServers", "must be an object, not a list"),
        ({"store": 3}, "store", "must be a string, not a number"),
        ({"store": " "}, "store", "is empty"),
        ({"agents_dir": {"a": 1}}, "agents_dir", "must be a list of paths"),
    ],
)
def test_a_wrong_type_is_told_in_plain_words(load: Load, data: Any, key: str, words: str) -> None:
    error = refusal(load, data)
    assert error.place.endswith(f"config.json: {key}")
    assert words in error.problem
    assert "pydantic" not in str(error)


def test_all_errors_of_a_file_are_told_at_once(load: Load) -> None:
    error = str(refusal(load, {"agents": {"a": {"max_steps": 0}, "b": {"descripton": ""}}, "store": 1}))
    assert "agents.a.max_steps" in error and "agents.b.descripton" in error and "store" in error


def test_of_several_errors_each_comes_with_its_way_out(load: Load) -> None:
    error = str(refusal(load, {"agents": {"a": {"max_step": 1}, "b": {"descripton": ""}}}))
    assert "`max_steps`" in error and "`description`" in error


@pytest.mark.parametrize(
    "data",
    [
        {"models": {"l": {"uses": "openai-chat:x"}}, "agents": {"a": {"model": "l"}}},
        {"models": {"l": 3}, "defaults": {"model": "l"}},
        {"models": [], "defaults": {"model": "l"}},
        {"mcpServers": [], "agents": {"a": {"servers": ["docs"], "tools": ["docs__x"]}}},
    ],
)
def test_what_is_wrong_itself_is_not_also_missed_where_it_is_named(load: Load, data: Any) -> None:
    error = str(refusal(load, data))
    assert "there is no" not in error and "names no tool" not in error


@pytest.mark.parametrize("servers", [{}, {"docs": ECHO}])
def test_a_pattern_that_begins_with_a_wildcard_needs_no_server(load: Load, servers: Any) -> None:
    agent = {"tools": ["*"], "approvals": {"ask": ["*"], "deny": ["*delete*", "?x"]}}
    assert load({"mcpServers": servers, "agents": {"a": agent}}).agents["a"].tools == ("*",)


@pytest.mark.parametrize(
    ("agent", "key", "meant"),
    [
        ({"servers": ["dosc"]}, "servers", "docs"),
        ({"tools": ["dosc__*"]}, "tools", "docs__*"),
        ({"tools": ["dosc__search"]}, "tools", "docs__search"),
        ({"tools": ["docs"]}, "tools", "docs__*"),
        ({"approvals": {"deny": ["dosc__delete_*"]}}, "approvals.deny", "docs__delete_*"),
        ({"model": "locl"}, "model", "local"),
    ],
)
def test_an_agent_that_refers_to_nothing_is_refused_with_the_nearest(
    load: Load, agent: dict[str, Any], key: str, meant: str
) -> None:
    data = {
        "mcpServers": {"docs": ECHO},
        "models": {"local": {"use": "openai-chat:x"}},
        "agents": {"a": agent},
    }
    error = refusal(load, data)
    assert error.place.endswith(f": agents.a.{key}")
    assert f"`{meant}`" in error.hint


@pytest.mark.parametrize("pattern", ["", "  ", "search", "docs__[ab]", "docs"])
def test_a_pattern_that_can_match_nothing_is_refused(load: Load, pattern: str) -> None:
    error = refusal(load, {"mcpServers": {"docs": ECHO}, "agents": {"a": {"tools": [pattern]}}})
    assert error.place.endswith(": agents.a.tools")


@pytest.mark.parametrize(
    "pattern", ["*", "docs__*", "doc*", "*__search", "docs__get_*", "docs__search", "d?cs__*"]
)
def test_a_pattern_that_could_match_a_tool_is_kept(load: Load, pattern: str) -> None:
    config = load({"mcpServers": {"docs": ECHO}, "agents": {"a": {"tools": [pattern]}}})
    assert config.agents["a"].tools == (pattern,)


def test_an_agent_may_name_servers_that_are_off_or_cannot_be_used_now(load: Load) -> None:
    servers = {"off": {**ECHO, "disabled": True}, "unset": {"command": "${NOT_SET}"}}
    config = load(
        {"mcpServers": servers, "agents": {"a": {"servers": ["off", "unset"], "tools": ["off__x"]}}}
    )
    assert config.disabled == ("off",)
    assert set(config.unavailable) == {"unset"}


def test_a_model_with_a_colon_or_an_alias_is_accepted(load: Load) -> None:
    models = {"qwen3:8b": {"use": "openai-chat:qwen3:8b"}, "fast": {"use": "openai:x"}}
    agents = {
        name: {"model": name} for name in ("qwen3:8b", "fast", "anthropic:claude-sonnet-5-5", "scripted")
    }
    assert set(load({"models": models, "agents": agents}).agents) == set(agents)


def test_a_bare_model_name_without_any_alias_hints_at_the_provider(load: Load) -> None:
    assert refusal(load, {"defaults": {"model": "claude"}}).hint == "write `provider:model`"


def test_a_host_s_file_is_read_and_its_other_keys_ignored(load: Load) -> None:
    data = {
        "mcpServers": {"time": {"type": "stdio", **ECHO}},
        "globalShortcut": "",
        "numStartups": 3,
        "projects": {},
    }
    config = load(data)
    assert list(config.servers) == ["time"]
    assert config.problems == ()


@pytest.mark.parametrize("key", ["agent", "Agents", "modles", "mcpservers", "servers", "AGENTS_DIR"])
def test_a_key_almost_like_ours_is_an_error_in_a_host_s_file_too(load: Load, key: str) -> None:
    assert refusal(load, {"mcpServers": {}, key: {}}).place.endswith(f": {key}")


def test_a_schema_key_is_nobody_s_business(load: Load) -> None:
    assert load({"$schema": "https://example.org/x", **OURS}).problems == ()


def test_the_environments_store_stands_above_the_file_s(load: Load, tmp_path: Path) -> None:
    config = load({"store": "sqlite:///a.db"}, {"AGENT_MCP_STORE": f"sqlite:///{tmp_path}/b.db"})
    assert config.store == f"sqlite:///{tmp_path}/b.db"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:///s.db", "{dir}/s.db"),
        ("s.db", "{dir}/s.db"),
        ("sqlite:///sub/s.db", "{dir}/sub/s.db"),
        ("~/s.db", "{dir}/home/s.db"),
        ("sqlite:///~/s.db", "{dir}/home/s.db"),
        ("sqlite:////var/s.db", "/var/s.db"),
        ("/var/s.db", "/var/s.db"),
    ],
)
def test_a_store_s_path_is_made_whole(load: Load, tmp_path: Path, written: str, meant: str) -> None:
    assert load({"store": written}).store == "sqlite:///" + meant.format(dir=tmp_path)


@pytest.mark.parametrize("store", ["postgresql://u:p@h/d", "sqlite:///", "sqlite://x"])
def test_an_address_that_is_no_sqlite_path_is_left_to_the_store(load: Load, store: str) -> None:
    assert load({"store": store}).store == store


def test_a_script_s_path_is_relative_to_the_config(load: Load, tmp_path: Path) -> None:
    data = {
        "models": {"m": {"use": "scripted:a.json"}},
        "defaults": {"model": "scripted:b.json"},
        "agents": {"a": {"model": "scripted:/c.json"}},
    }
    config = load(data)
    assert config.models["m"].use == f"scripted:{tmp_path}/a.json"
    assert config.defaults.model == f"scripted:{tmp_path}/b.json"
    assert config.agents["a"].model == "scripted:/c.json"


def test_the_environments_model_stands_above_the_defaults_and_below_an_agent_s(load: Load) -> None:
    data = {"defaults": {"model": "a:b"}, "agents": {"x": {"model": "c:d"}}}
    config = load(data, {"AGENT_MCP_MODEL": "e:f"})
    assert (config.defaults.model, config.agents["x"].model) == ("e:f", "c:d")


def test_an_unknown_model_in_the_environment_names_the_variable(load: Load) -> None:
    error = refusal(load, {"models": {"local": {"use": "a:b"}}}, {"AGENT_MCP_MODEL": "locale"})
    assert "AGENT_MCP_MODEL" in error.place and "`local`" in error.hint


def test_inline_agents_win_over_files_of_the_same_name(load: Load, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.md").write_text("---\nname: a\n---\nfrom the file")
    config = load({"agents": {"a": {"instructions": "inline"}}, "agents_dir": "files"})
    assert config.agents["a"].instructions == "inline"
    assert "not used" in config.problems[0].message


def test_a_whole_config_of_ours_loads(load: Load) -> None:
    data = {
        "mcpServers": {
            "time": {"command": "uvx", "args": ["mcp-server-time"]},
            "docs": {
                "type": "http",
                "url": "https://example.org/mcp",
                "headers": {"Authorization": "Bearer ${DOCS_TOKEN}"},
            },
        },
        "defaults": {"model": "anthropic:claude-sonnet-5-5", "max_steps": 25},
        "models": {
            "local": {
                "use": "openai-chat:qwen3",
                "base_url": "http://127.0.0.1:11434/v1",
                "api_key_env": "NONE",
            }
        },
        "agents": {
            "researcher": {
                "description": "d",
                "instructions": "i",
                "model": "local",
                "servers": ["docs"],
                "tools": ["docs__*"],
                "max_steps": 10,
                "budget": {"tokens": 200000, "cost_usd": 0.5, "seconds": 600, "tool_calls": 50},
                "approvals": {"allow": ["docs__get_*"], "ask": ["*"], "deny": ["docs__delete_*"]},
            }
        },
        "agents_dir": ["~/.claude/agents"],
        "store": "sqlite:///path/to/sessions.db",
    }
    config = load(json.dumps(data), {"DOCS_TOKEN": "secret-token"})
    assert config.servers["docs"].headers == {"Authorization": "Bearer secret-token"}
    assert config.agents["researcher"].budget is not None
    assert [problem.place.split(": ")[1] for problem in config.problems] == ["agents_dir"]
