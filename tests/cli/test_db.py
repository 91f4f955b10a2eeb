"""`agent-mcp db`, `--role` and what doctor says of a store in PostgreSQL."""

import json
from pathlib import Path

import pytest

from agent_mcp.__main__ import main
from tests.support.postgres import Cluster, requires_postgres


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config file without a store; a test writes its own."""
    monkeypatch.setenv("AGENT_MCP_LOG_LEVEL", "ERROR")
    monkeypatch.delenv("AGENT_MCP_STORE", raising=False)
    return tmp_path / "config.json"


def run(config: Path, store: str, *command: str) -> int:
    """The exit status of a command on a store."""
    config.write_text(json.dumps({"store": store}), encoding="utf-8")
    return main([*command, "--config", str(config)])


@requires_postgres
def test_status_says_what_upgrade_then_does(
    cluster: Cluster, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = cluster.url(cluster.create("template1"))
    assert run(config, store, "db", "status") == 1
    said = capsys.readouterr().out
    assert "sessions: version 0 of" in said and "queue: none of" in said and "`agent-mcp db upgrade`" in said
    assert run(config, store, "sessions", "list") == 1
    assert "(run `agent-mcp db upgrade`)" in capsys.readouterr().err
    assert run(config, store, "db", "upgrade") == 0
    assert "sessions: applied migration 1" in capsys.readouterr().out
    assert run(config, store, "db", "upgrade") == 0
    assert capsys.readouterr().out == "the database is up to date\n"
    assert run(config, store, "db", "status") == 0
    assert capsys.readouterr().out.endswith("up to date\n")
    assert run(config, store, "sessions", "list") == 0


@requires_postgres
def test_a_newer_schema_is_not_touched(
    cluster: Cluster, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = cluster.create()
    cluster.execute("UPDATE agent_mcp.meta SET schema_version = 99", name)
    assert run(config, cluster.url(name), "db", "upgrade") == 1
    assert "update agent-mcp" in capsys.readouterr().err
    assert run(config, cluster.url(name), "db", "status") == 1
    assert "a newer agent-mcp" in capsys.readouterr().out


def test_a_file_needs_no_upgrade(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = f"sqlite:///{config.parent / 's.db'}"
    assert run(config, store, "db", "upgrade") == run(config, store, "db", "status") == 0
    assert "whenever it is opened" in capsys.readouterr().out


# Not stdio with `server`: it takes this very process's stdout first.
@pytest.mark.parametrize(("transport", "role"), [("stdio", "worker"), ("http", "server"), ("http", "worker")])
def test_roles_need_a_store_that_is_shared(
    config: Path, capsys: pytest.CaptureFixture[str], transport: str, role: str
) -> None:
    store = f"sqlite:///{config.parent / 's.db'}"
    assert run(config, store, "serve", "--transport", transport, "--role", role) == 2
    assert f"--role: '{role}' needs a store" in capsys.readouterr().err


@requires_postgres
def test_doctor_shows_no_password(
    database_url: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = database_url.replace("tester@", "tester:s3cret-pass@")
    run(config, store, "doctor")
    said = capsys.readouterr()
    assert "can be written" in said.out and "s3cret" not in f"{said.out}{said.err}"
