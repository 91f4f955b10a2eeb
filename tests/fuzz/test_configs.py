"""Odd configs are refused with file and key, or read; nothing else happens."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from agent_mcp.config.load import load_config
from agent_mcp.config.profiles import profile_for
from agent_mcp.config.secrets import declared_secrets, secrets_of
from agent_mcp.errors import ConfigError
from tests.support.odd import SCALE, mutated, seeds, torn

OURS: dict[str, Any] = {
    "mcpServers": {
        "time": {
            "command": "uvx",
            "args": ["mcp-server-time", "--token", "t"],
            "env": {"A": "${B:-c}"},
            "timeout": 5,
        },
        "docs": {
            "type": "http",
            "url": "https://u:p@example.org/mcp?key=k",
            "headers": {"Authorization": "Bearer ${T:-x}"},
            "tools": ["get_*"],
            "untrusted": True,
            "outward": ["send"],
            "roots": ["/tmp"],
            "approvals": {"ask": ["*"]},
        },
        "again": {"command": "agent-mcp", "args": ["serve", "--config", "other.json"], "disabled": False},
    },
    "defaults": {
        "model": "local",
        "max_steps": 25,
        "approvals": "off",
        "budget": {"tokens": 5, "day": {"cost_usd": 1}},
    },
    "models": {
        "local": {
            "use": "openai-chat:q",
            "base_url": "http://127.0.0.1:1/v1",
            "api_key_env": "NONE",
            "extra": {},
        }
    },
    "agents": {
        "one": {
            "description": "d",
            "model": "local",
            "servers": ["docs"],
            "tools": ["docs__*"],
            "max_steps": 1,
        },
        "two": {
            "approvals": {"allow": ["docs__a"], "deny": ["*"]},
            "budget": {"seconds": 1.5, "turn": {"steps": 2}},
        },
    },
    "agents_dir": ["agents"],
    "store": "sqlite:///x.db",
    "server": {
        "tokens": [{"name": "ada", "token_env": "ADA"}, {"name": "b", "token_sha256": "0" * 64}],
        "oauth": {"issuer": "https://i.example", "audience": "https://a.example/mcp", "scopes": ["s"]},
        "limits": {"sessions": 1},
        "hosts": {"x": {"wait_seconds": 1}},
        "allowed_origins": ["https://o.example"],
        "state_key_env": ["K"],
    },
    "retention": {"days": 3},
}
HOSTS: dict[str, Any] = {"mcpServers": OURS["mcpServers"], "globalShortcut": "x", "preferences": {"a": 1}}
AGENT = "---\nname: a\ndescription: x: y\ntools: docs__*, Read\nmaxTurns: 3\n---\nDo it.\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the configs lie."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "agents").mkdir()
    return folder


def _read(file: Path, content: bytes) -> None:
    """Load it as `serve` and `doctor` do; the one error that may come names the file."""
    file.write_bytes(content)
    environ = {"HOME": str(file.parent), "T": "t-value"}
    try:
        config = load_config(str(file), environ)
    except ConfigError as error:
        assert str(file) in str(error)
        assert error.problem
        return
    assert len(secrets_of(config, environ)) >= len(declared_secrets(config, environ)) - 2
    for name in (None, *config.agents):
        profile_for(config, name)
    for problem in config.problems:
        assert problem.place.startswith(str(file.parent))


@settings(
    max_examples=1_300 * SCALE, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(seed=seeds)
def test_a_config_with_something_wrong(folder: Path, seed: int) -> None:
    random = Random(seed)
    data = mutated(random.choice((OURS, OURS, HOSTS)), random)
    _read(folder / "config.json", json.dumps(data).encode())


@settings(
    max_examples=700 * SCALE, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(seed=seeds)
def test_a_file_that_is_torn(folder: Path, seed: int) -> None:
    random = Random(seed)
    _read(folder / "config.json", torn(json.dumps(OURS, indent=1).encode(), random))


@settings(
    max_examples=300 * SCALE, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(seed=seeds)
def test_an_agents_file_that_is_torn(folder: Path, seed: int) -> None:
    (folder / "agents" / "a.md").write_bytes(torn(AGENT.encode(), Random(seed)))
    _read(folder / "config.json", json.dumps(OURS).encode())
