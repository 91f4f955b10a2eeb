"""Who may come over HTTP, as a config says it."""

import hashlib
import json
from typing import Any

import pytest

from agent_mcp.config.serving import state_keys
from agent_mcp.errors import ConfigError
from tests.config.conftest import Load

TOKEN = "correct-horse-battery"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
OAUTH = {"issuer": "https://id.example.org", "audience": "https://mcp.example.org/mcp"}


@pytest.mark.parametrize(
    "said", [{"token": TOKEN}, {"token_env": "T"}, {"token_sha256": DIGEST}, {"token_sha256": DIGEST.upper()}]
)
def test_a_token_is_kept_as_its_hash_however_it_is_said(load: Load, said: dict[str, str]) -> None:
    config = load({"server": {"tokens": [{"name": "ada", **said}]}}, {"T": TOKEN})
    (entry,) = config.server.tokens
    assert (entry.name, (entry.token_sha256 or "").lower()) == ("ada", DIGEST)
    assert TOKEN not in config.model_dump_json()


def test_two_tokens_may_share_a_name_to_change_one_for_the_other(load: Load) -> None:
    tokens = [{"name": "ada", "token": TOKEN}, {"name": "ada", "token": TOKEN[::-1]}]
    assert len(load({"server": {"tokens": tokens}}).server.tokens) == 2


@pytest.mark.parametrize(
    ("server", "key", "problem"),
    [
        ({"tokens": [{"name": "ada"}]}, "tokens.0", "nothing"),
        (
            {"tokens": [{"name": "ada", "token": TOKEN, "token_env": "T"}]},
            "tokens.0",
            "twice: token, token_env",
        ),
        ({"tokens": [{"name": "ada", "token": "short"}]}, "tokens.0.token", "shorter than 16"),
        ({"tokens": [{"name": "ada", "token_sha256": "12"}]}, "tokens.0.token_sha256", "64 hexadecimal"),
        ({"tokens": [{"name": "a b", "token": TOKEN}]}, "tokens.0.name", "must be 1 to 64"),
        ({"tokens": [{"name": "ada", "secret": TOKEN}]}, "tokens.0.secret", "not a key"),
        ({"tokens": {"ada": TOKEN}}, "tokens", "must be a list"),
        ({"oauth": {"issuer": "id.example.org", "audience": OAUTH["audience"]}}, "oauth.issuer", "a URL"),
        ({"oauth": {**OAUTH, "audience": "api://mcp"}}, "oauth.resource_url", "is missing"),
        ({"oauth": {**OAUTH, "jwks_url": "file:///etc/passwd"}}, "oauth.jwks_url", "a URL"),
        ({"oauth": {"issuer": OAUTH["issuer"]}}, "oauth.audience", "is missing"),
        ({"limits": {"sessions": 0}}, "limits.sessions", "more than 0"),
        ({"limits": {"requests": 1}}, "limits.requests", "not a key"),
        ({"allowed_hosts": ["https://mcp.example.org"]}, "allowed_hosts", "is no host"),
        ({"oauth": {**OAUTH, "issuer": "https://[x"}}, "oauth.issuer", "a URL"),
        ({"allowed_origins": ["http://[::1"]}, "allowed_origins", "is no origin"),
        ({"allowed_origins": ["app.example.org"]}, "allowed_origins", "is no origin"),
        ({"hosts": {"cursor": {"wait": 5}}}, "hosts.cursor.wait", "not a key"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(load: Load, server: Any, key: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"server": server})
    assert caught.value.place.endswith(f": server.{key}")
    assert problem in caught.value.problem
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("environ", [{}, {"T": "short"}])
def test_a_variable_that_is_not_set_stops_only_those_who_need_it(load: Load, environ: dict[str, str]) -> None:
    server = {"tokens": [{"name": "ada", "token_env": "T"}], "state_key_env": ["T"]}
    config = load({"server": server}, environ)
    assert [problem.place.partition(": ")[2] for problem in config.problems] == [
        "server.tokens.0.token_env",
        "server.state_key_env",
    ]
    assert config.server.tokens[0].token_sha256 is None
    assert state_keys(config.server, environ) == []


def test_keys_for_replicas_come_from_variables_in_their_order(load: Load) -> None:
    environ = {"NEW": "n" * 32, "OLD": "o" * 40}
    config = load({"server": {"state_key_env": ["NEW", "OLD"]}}, environ)
    assert state_keys(config.server, environ) == [b"n" * 32, b"o" * 40]
    assert "nnnn" not in json.dumps(config.model_dump(mode="json"))


def test_hosts_are_known_in_any_case(load: Load) -> None:
    config = load({"server": {"hosts": {"Claude-Code": {"wait_seconds": 20}}}})
    assert config.server.hosts["claude-code"].wait_seconds == 20
