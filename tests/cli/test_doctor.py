"""`agent-mcp doctor`: every finding with its fix, and an exit status that a script can use."""

import json
import sys

from tests.cli.conftest import DESK, Machine


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


def test_a_store_that_cannot_be_written_is_a_failure(machine: Machine) -> None:
    (machine.home / "file").write_text("")
    status, found = findings(machine, AGENT_MCP_STORE=f"sqlite:///{machine.home}/file/s.db")
    assert status == 1
    assert found["store"][0]["level"] == "FAIL"
    assert "AGENT_MCP_STORE" in found["store"][0]["fix"]


def test_a_wrong_config_is_a_finding_too_and_ends_with_2(machine: Machine) -> None:
    config = machine.write_config({"agents": {}, "modles": {}})
    done = machine.run("doctor", "--json", "--config", str(config))
    assert done.returncode == 2
    failure = json.loads(done.stdout)["findings"][-1]
    assert (failure["level"], failure["fix"]) == ("FAIL", "did you mean `models`?")
