"""Secrets of a config may lie in the environment, in files and in the system's keyring."""

import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agent_mcp.config.names import Names, with_names
from agent_mcp.config.secrets import declared_secrets, secrets_of
from agent_mcp.config.serving import TOKEN_CHARACTERS
from agent_mcp.errors import ConfigError, MissingApiKeyError
from agent_mcp.models.target import resolve_target
from tests.config.conftest import Load


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The optional package, with one entry."""
    module = ModuleType("keyring")

    def get_password(service: str, name: str) -> str | None:
        if service == "broken":
            raise RuntimeError("the-secret-itself")
        return "from-the-keyring" if (service, name) == ("docs/a", "token") else None

    vars(module)["get_password"] = get_password
    monkeypatch.setitem(sys.modules, "keyring", module)
    return module


def test_a_file_is_read_relative_to_the_config_and_without_its_last_line_break(
    load: Load, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    config = load({"mcpServers": {"docs": {"url": "https://x/mcp", "headers": {"X": "T ${file:token}"}}}})
    assert config.servers["docs"].headers == {"X": "T from-a-file"}
    assert config.secret_files == (str(tmp_path / "token"),)
    assert "from-a-file" in secrets_of(config, {})


def test_the_keyring_is_asked_late_and_once(load: Load, keyring: ModuleType) -> None:
    entry = {"command": "x", "env": {"WHATEVER": "${keyring:docs/a/token}"}}
    config = load({"mcpServers": {"docs": entry}})
    assert config.servers["docs"].env == {"WHATEVER": "from-the-keyring"}
    assert declared_secrets(config, {}) == {"from-the-keyring"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file:nowhere", "is not there"),
        ("file:.", "no plain file"),
        ("file:empty", "holds no text"),
        ("file:large", "more than 65536 bytes"),
        ("file:binary", "is not UTF-8"),
        ("file:unreadable", "can't be read|holds no text"),
        ("keyring:docs/other", "has no entry other of docs"),
        ("keyring:nothing", "write keyring:SERVICE/NAME"),
        ("keyring:broken/x", "RuntimeError"),
        ("VARIABLE", "the environment variable VARIABLE is not set"),
    ],
)
@pytest.mark.usefixtures("keyring")
def test_what_is_not_there_makes_that_server_unavailable_and_says_why(
    load: Load, tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_text("x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "unreadable").touch(mode=0o000)
    config = load({"mcpServers": {"docs": {"command": "x", "env": {"K": f"${{{name}}}"}}}})
    (problem,) = config.problems
    assert problem.place.endswith("mcpServers.docs.env.K")
    assert re.search(why, problem.message)
    assert "the-secret-itself" not in str(config)
    assert config.servers == {}


def test_a_default_stands_in_for_a_file_that_is_not_there(load: Load) -> None:
    config = load({"mcpServers": {"docs": {"command": "x", "env": {"K": "${file:nowhere:-other}"}}}})
    assert config.servers["docs"].env == {"K": "other"}


def test_without_the_package_the_keyring_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "agent-mcp[keyring]" in Names({}).why_missing("keyring:a/b")


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system there")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no plain file" in Names({}, base=tmp_path).why_missing("file:pipe")


def test_going_over_the_names_shows_the_environment_alone(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file")
    names = Names({"A": "1"}, base=tmp_path)
    assert names["file:token"] == "from-a-file"
    assert dict(names) == {"A": "1"}
    assert with_names(names) is names


def test_a_models_key_and_headers_come_from_a_file_or_the_keyring(
    load: Load, tmp_path: Path, keyring: ModuleType
) -> None:
    (tmp_path / "key").write_text("key-in-a-file\n")
    models = {
        "one": {"use": "openai:m", "api_key_file": "key", "headers": {"X": "${file:key}"}},
        "two": {"use": "anthropic:m", "api_key_keyring": "docs/a/token"},
    }
    config = load({"models": models})
    environ = with_names({}, base=Path("/"))
    one, two = (resolve_target(name, config.models, environ) for name in ("one", "two"))
    assert (one.api_key, dict(one.headers), two.api_key) == (
        "key-in-a-file",
        {"X": "key-in-a-file"},
        "from-the-keyring",
    )
    assert declared_secrets(config, {}) == {"key-in-a-file", "from-the-keyring"}
    assert config.secret_files == (str(tmp_path / "key"),)


def test_a_models_missing_key_or_header_names_its_place(load: Load, tmp_path: Path) -> None:
    models = {
        "one": {"use": "openai:m", "api_key_file": "nowhere"},
        "two": {"use": "openai:m", "headers": {"X": "${GONE}"}},
    }
    config = load({"models": models})
    with pytest.raises(MissingApiKeyError, match=str(tmp_path / "nowhere")):
        resolve_target("one", config.models, with_names({}))
    with pytest.raises(MissingApiKeyError, match=r"models\.two\.headers\.X"):
        resolve_target("two", config.models, with_names({"OPENAI_API_KEY": "k"}))


def test_a_key_named_twice_is_an_error(load: Load) -> None:
    with pytest.raises(ConfigError, match="names its key twice: api_key_env, api_key_file"):
        load({"models": {"m": {"use": "openai:m", "api_key_env": "A", "api_key_file": "b"}}})


def test_a_token_for_http_comes_from_a_file_and_only_its_hash_is_kept(load: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t" * TOKEN_CHARACTERS)
    tokens = [{"name": "ada", "token_file": "token"}, {"name": "bob", "token_file": "nowhere"}]
    config = load({"server": {"tokens": tokens}})
    ada, bob = config.server.tokens
    assert (len(ada.token_sha256 or ""), ada.token_file) == (64, None)
    assert bob.token_sha256 is None
    (problem,) = config.problems
    assert problem.place.endswith("server.tokens.1.token_file")
