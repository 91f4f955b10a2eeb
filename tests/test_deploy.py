"""What is in deploy/ fits the program: commands, variables and config. Whether Docker runs it is not seen here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_mcp.cli.parser import parse
from agent_mcp.config.load import load_config
from agent_mcp.config.serving import missing_variables

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = ("upgrade", "server", "worker")
VARIABLES = set(re.findall(r"^(\w+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("service", "command", "role"),
    [("upgrade", "db", None), ("server", "serve", "server"), ("worker", "serve", "worker")],
)
def test_every_service_runs_a_command_that_there_is(service: str, command: str, role: str | None) -> None:
    options = parse(COMPOSE["services"][service]["command"])
    assert options.command == command
    if role is not None:
        assert (options.role, options.transport, options.port) == (role, "http", 8642)


def test_the_config_is_sound_and_finds_all_its_variables() -> None:
    environ = {"AGENT_MCP_TOKEN": "t" * 48, "AGENT_MCP_STATE_KEY": "k" * 48}
    config = load_config(str(DEPLOY / "config.json"), environ)
    assert (config.problems, list(missing_variables(config.server, environ))) == ((), [])
    given = COMPOSE["services"]["server"]["environment"]
    assert set(environ) <= set(given)
    assert given["AGENT_MCP_STORE"].startswith("postgresql://")


def test_every_variable_of_compose_stands_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert used == VARIABLES


def test_nothing_starts_before_the_schema_is_there_and_no_secret_is_written_down() -> None:
    services = COMPOSE["services"]
    for service in ("server", "worker"):
        assert services[service]["depends_on"]["upgrade"]["condition"] == "service_completed_successfully"
    assert services["upgrade"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for service in OURS:
        assert services[service]["cap_drop"] == ["ALL"] and services[service]["read_only"]
    assert "ports" not in services["postgres"]
    assert all(str(port).startswith("127.0.0.1:") for port in services["server"]["ports"])


def test_the_image_does_not_run_as_root_and_is_asked_whether_it_lives() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d+$", dockerfile, re.MULTILINE)
    assert "http://127.0.0.1:8642/healthz" in dockerfile
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    root = DEPLOY.parent
    assert all((root / name).exists() for names in copied for name in names.split())
