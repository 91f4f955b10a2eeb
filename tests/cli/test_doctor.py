"""`agent-mcp doctor`: every finding with its fix, and an exit status that a script can use."""

import json
import os
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import anyio
import pytest

from agent_mcp.sessions.pinning import entry_of
from agent_mcp.store.open import open_store
from tests.cli.conftest import DESK, Machine
from tests.store.conftest import make_database

DOWN = "http://127.0.0.1:9"
"""Nothing listens there."""


class OneModel(BaseHTTPRequestHandler):
    """An address that lists one model."""

    def do_GET(self) -> None:
        body = b'{"data": [{"id": "small-one"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def model_address() -> Generator[str]:
    """A server that lists one model."""
    with HTTPServer(("127.0.0.1", 0), OneModel) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def findings(
    machine: Machine, *arguments: str, **environ: str
) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit status, and the findings by subject."""
    done = machine.run("doctor", "--json", *arguments, **environ)
    content = json.loads(done.stdout)
    assert content["ok"] == (done.returncode == 0)
    by_subject: dict[str, list[dict[str, str]]] = {}
    for finding in content["findings"]:
        by_subject.setdefault(finding["subject"], []).append(finding)
    return done.returncode, by_subject


def test_a_fresh_machine_has_warnings_with_fixes_and_no_failure(machine: Machine) -> None:
    status, found = findings(machine)
    assert status == 0
    assert found["config"][0]["level"] == "WARN"
    assert str(machine.home / ".config" / "agent-mcp" / "config.json") in found["config"][0]["fix"]
    assert "ANTHROPIC_API_KEY" in found["model (default)"][0]["fix"]
    assert found["store"][0]["level"] == "OK"


def test_each_server_is_started_and_its_tools_listed_with_their_cost(machine: Machine) -> None:
    config = machine.write_config({"mcpServers": {"desk": DESK}})
    done = machine.run("doctor", "--config", str(config))
    assert done.returncode == 0
    assert "OK    server desk: 4 tools, about " in done.stdout
    assert "desk__count_words (about " in done.stdout


def test_a_root_that_is_not_there_is_a_warning_with_its_fix(machine: Machine) -> None:
    roots = [str(machine.home), "/nowhere/at/all"]
    config = machine.write_config({"mcpServers": {"desk": {**DESK, "roots": roots}}})
    status, found = findings(machine, "--config", str(config))
    warned = [finding for finding in found["server desk"] if finding["level"] == "WARN"]
    assert (status, [finding["message"] for finding in warned]) == (
        0,
        ["its root /nowhere/at/all is not there"],
    )
    assert "mcpServers.desk.roots" in warned[0]["fix"]


def test_servers_that_cannot_be_used_are_failures_that_say_why(machine: Machine) -> None:
    why: dict[str, tuple[dict[str, object], str]] = {
        "unset": ({"command": "x", "env": {"K": "${NOT_SET_ANYWHERE}"}}, "NOT_SET_ANYWHERE is not set"),
        "gone": ({"command": "no-such-program-anywhere"}, "was not found"),
        "crash": ({"command": sys.executable, "args": ["-c", "raise SystemExit('boom')"]}, "boom"),
        "silent": ({"command": "sleep", "args": ["60"], "connect_timeout": 1}, "within 1 s"),
        "refused": ({"url": "http://127.0.0.1:9/mcp", "connect_timeout": 5}, "could not connect"),
        "both": ({"command": "x", "url": "http://x"}, "both"),
    }
    servers = {"desk": DESK, **{name: entry for name, (entry, _) in why.items()}}
    config = machine.write_config({"mcpServers": servers})
    done = machine.run("doctor", "--config", str(config))
    assert done.returncode == 1
    failures = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failures) == len(why)
    for name, (_, words) in why.items():
        assert any(name in line and words in line for line in failures), name
    assert done.stdout.count("fix:") >= len(why)
    assert "install it, or write its absolute path as mcpServers.gone.command" in done.stdout
    assert "OK    server desk" in done.stdout


def test_an_unknown_key_of_a_server_is_a_warning_with_the_nearest(machine: Machine) -> None:
    config = machine.write_config({"mcpServers": {"desk": {**DESK, "timeuot": 3}}})
    status, found = findings(machine, "--config", str(config))
    assert status == 0
    warning = found["config"][1]
    assert (warning["level"], "`timeout`" in warning["fix"]) == ("WARN", True)


def test_a_key_that_is_not_set_is_a_failure_that_names_the_variable(machine: Machine) -> None:
    models = {"local": {"use": "openai-chat:x", "base_url": "http://127.0.0.1:9/v1", "api_key_env": "NONE"}}
    agents = {"a": {"model": "openai:some-model"}}
    config = machine.write_config({"models": models, "agents": agents})
    status, found = findings(machine, "--config", str(config))
    assert status == 1
    assert "OPENAI_API_KEY" in found["model (agent a)"][0]["message"]
    assert found["model (alias)"][0]["level"] == "OK"
    status, found = findings(machine, "--config", str(config), OPENAI_API_KEY="sk-test-key")
    assert status == 0
    assert "sk-test-key" not in json.dumps(found)


def test_an_address_that_must_name_the_model_is_asked(machine: Machine, model_address: str) -> None:
    status, found = findings(machine, OPENAI_BASE_URL=model_address)
    assert status == 0
    assert "openai-chat:small-one" in found["model (default)"][0]["message"]
    status, found = findings(machine, OPENAI_BASE_URL=f"{DOWN}/v1")
    assert status == 1
    (failure,) = found["model (default)"]
    assert failure["level"] == "FAIL" and f"{DOWN}/v1" in failure["message"]
    assert "start that server" in failure["fix"]


def test_of_a_server_that_is_down_it_asks_whether_it_runs(machine: Machine) -> None:
    servers = {"docs": {"url": f"{DOWN}/mcp?key=hush-hush"}}
    config = machine.write_config({"mcpServers": servers})
    _, found = findings(machine, "--config", str(config))
    assert f"is it running at {DOWN}/mcp?" in found["server docs"][0]["fix"]
    assert "hush" not in json.dumps(found)


def test_a_budget_of_cost_needs_a_price(machine: Machine) -> None:
    models = {"local": {"use": "openai-chat:nobodys-model", "base_url": f"{DOWN}/v1"}}
    agents = {"a": {"model": "local"}, "b": {"model": "anthropic:claude-sonnet-5-5"}}
    config = machine.write_config(
        {"models": models, "agents": agents, "defaults": {"budget": {"cost_usd": 1}, "model": "local"}}
    )
    status, found = findings(machine, "--config", str(config), ANTHROPIC_API_KEY="sk-ant-test")
    assert status == 0
    assert {key for key in found if key.startswith("budget")} == {"budget (defaults)", "budget (a)"}
    assert "budget.tokens" in found["budget (a)"][0]["fix"]


def test_in_a_host_s_file_the_environment_of_its_own_entry_is_used(machine: Machine) -> None:
    file = machine.home / "host.json"
    store = machine.home / "of-the-host.db"
    env = {"OPENAI_API_KEY": "sk-of-the-host", "AGENT_MCP_STORE": str(store), "KEY": "${OPENAI_API_KEY:-x}"}
    entry = {"command": "agent-mcp", "args": ["--config", str(file)], "env": env}
    machine.write_config({"mcpServers": {"agent": entry, "desk": {**DESK, "autoApprove": []}}}, file.name)
    status, found = findings(machine, "--config", str(file))
    assert status == 0
    assert "openai:" in found["model (default)"][0]["message"]
    assert str(store) in found["store"][0]["message"]
    (host,) = found["host entry agent"]
    assert host["level"] == "OK" and "OPENAI_API_KEY" in host["message"]
    assert "sk-of-the-host" not in json.dumps(found)
    assert any("desk.autoApprove" in each["message"] for each in found["config"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], '"--config", "{home}/host.json"'), (["--config", "{home}/own.json"], "own.json")],
)
def test_an_entry_that_starts_us_with_another_config_is_told(
    machine: Machine, arguments: list[str], words: str
) -> None:
    machine.write_config({"agents": {}}, "own.json")
    args = [argument.format(home=machine.home) for argument in arguments]
    entry = {"command": "agent-mcp", "args": args}
    file = machine.write_config({"mcpServers": {"agent": entry}}, "host.json")
    _, found = findings(machine, "--config", str(file))
    warning = found["host entry agent"][1]
    assert warning["level"] == "WARN" and words.format(home=machine.home) in warning["fix"]


def test_where_the_host_s_environment_is_not_known_it_says_so(machine: Machine) -> None:
    _, found = findings(machine)
    assert "`env` is not seen" in found["config"][0]["message"]
    entry = {"command": "agent-mcp"}
    file = machine.write_config({"mcpServers": {"one": entry, "two": entry}})
    _, found = findings(machine, "--config", str(file))
    assert "one and two" in found["host entry"][0]["message"]


def test_a_store_that_cannot_be_written_is_a_failure(machine: Machine) -> None:
    (machine.home / "file").write_text("")
    status, found = findings(machine, AGENT_MCP_STORE=f"sqlite:///{machine.home}/file/s.db")
    assert status == 1
    assert found["store"][0]["level"] == "FAIL"
    assert "set another path as `store`" in found["store"][0]["fix"]


def test_a_store_of_a_kind_that_is_unknown_is_told_once_with_those_that_are_known(machine: Machine) -> None:
    status, found = findings(machine, AGENT_MCP_STORE="mysql://db/x")
    (problem,) = found["config"]
    said = "environment: AGENT_MCP_STORE: unknown store 'mysql': sqlite and postgresql are known"
    assert (status, problem["message"]) == (2, said)
    assert problem["fix"].startswith("write sqlite:///relative/path, sqlite:////absolute/path")


def test_damage_in_the_store_is_a_failure(machine: Machine) -> None:
    path = machine.home / "s.db"
    make_database(path)
    content = bytearray(path.read_bytes())
    content[-4096:] = b"\xff" * 4096
    path.write_bytes(content)
    status, found = findings(machine, AGENT_MCP_STORE=f"sqlite:///{path}")
    assert (status, found["store"][0]["level"]) == (1, "FAIL")
    assert "damaged" in found["store"][0]["fix"]


def test_a_wrong_config_is_a_finding_too_and_ends_with_2(machine: Machine) -> None:
    config = machine.write_config({"agents": {}, "modles": {}})
    done = machine.run("doctor", "--json", "--config", str(config))
    assert done.returncode == 2
    failure = json.loads(done.stdout)["findings"][-1]
    assert (failure["level"], failure["fix"]) == ("FAIL", "did you mean `models`?")


def test_an_agents_tools_and_what_is_not_defined_as_at_first_are_told(machine: Machine) -> None:
    agents = {"a": {"servers": ["desk"], "approvals": {"ask": ["desk__add_*"]}}}
    store = f"sqlite:///{machine.home}/s.db"
    config = machine.write_config({"mcpServers": {"desk": DESK}, "agents": agents, "store": store})

    async def use_once() -> None:
        async with open_store(store) as opened:
            await opened.pin(entry_of(str(config.resolve()), "desk"), {"count_words": "as it was"})

    anyio.run(use_once)
    done = machine.run("doctor", "--config", str(config), "--agent", "a")
    assert "desk__add_note: ask (ask: desk__add_*)\n" in done.stdout
    assert "desk__count_words: run (no rule names it)\n" in done.stdout
    assert "count_words (changed): " in done.stdout
    assert "agent-mcp approvals pins accept desk" in done.stdout


def test_a_token_that_is_not_set_is_not_told_as_one_that_is_taken(machine: Machine) -> None:
    tokens = [{"name": "ada", "token_env": "ADA_TOKEN"}, {"name": "ci", "token_sha256": "0" * 64}]
    config = machine.write_config({"server": {"tokens": tokens}})
    _, found = findings(machine, "--config", str(config))
    assert "ADA_TOKEN is not set" in found["config"][1]["message"]
    assert found["http"][0]["message"] == "taken are the token of ci"


def test_whatever_is_wrong_with_a_config_its_finding_has_a_fix(machine: Machine) -> None:
    servers: dict[str, Any] = {
        "a": {"command": "x", "args": None},
        "b": [],
        "c": {"command": "x", "timeout": "soon"},
    }
    (machine.home / "clerk.md").write_text("---\n---\n")
    content: dict[str, Any] = {"mcpServers": servers, "agents_dir": ["."], "agents": {"clerk": {}}}
    wrong: dict[str, Any] = {"agents": {"a": {"max_steps": 0}}}
    for config, status in ((content, 1), (wrong, 2)):
        file = machine.write_config(config)
        done = machine.run("doctor", "--json", "--config", str(file))
        assert done.returncode == status
        found = [each for each in json.loads(done.stdout)["findings"] if each["level"] != "OK"]
        assert found and all(each["fix"] for each in found)


@pytest.mark.skipif(sys.platform == "win32", reason="desktop and terminal have the same PATH there")
def test_what_only_this_shell_s_environment_has_is_told(machine: Machine) -> None:
    tools = machine.home / "my tools"
    tools.mkdir()
    program = tools / "desk-server"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -m agent_mcp.cli.demo_server\n")
    program.chmod(0o755)
    servers = {"desk": {"command": "desk-server", "env": {"DESK_ID": "${DESK_ID}"}}, "here": DESK}
    config = machine.write_config({"defaults": {}, "mcpServers": servers})
    path = f"{tools}:{os.defpath}"
    status, found = findings(machine, "--config", str(config), PATH=path, DESK_ID="7", OPENAI_API_KEY="sk-x")
    assert status == 0
    assert [each["level"] for each in found["server here"]] == ["OK"]
    ready, lost = found["server desk"]
    assert (ready["level"], lost["level"]) == ("OK", "WARN")
    assert "started from a desktop" in lost["message"] and str(program) in lost["fix"]
    unset, key = found["host environment"]
    assert "DESK_ID" in unset["message"] and "OPENAI_API_KEY" in key["message"]
    status, found = findings(machine, "--config", str(machine.write_config({"mcpServers": {"here": DESK}})))
    (fine,) = found["host environment"]
    assert (fine["level"], fine["fix"]) == ("OK", "")
