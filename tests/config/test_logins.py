"""The key `oauth` of a server's entry."""

from typing import Any

import pytest

from agent_mcp.config.schema import LoginEntry
from agent_mcp.config.secrets import secrets_of_server
from tests.config.conftest import Load
from tests.config.test_servers import load_entry

URL = "https://docs.example.org/mcp"
PEM = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"


def test_its_strings_are_expanded_and_its_secrets_known_as_such(load: Load) -> None:
    oauth = {"client_id": "ours", "client_secret": "${DOCS_SECRET}", "grant": "client_credentials"}
    config = load_entry(load, {"url": URL, "oauth": oauth}, DOCS_SECRET="very-secret")
    entry = config.servers["it"]
    assert entry.oauth == LoginEntry(
        client_id="ours", client_secret="very-secret", grant="client_credentials"
    )
    assert "very-secret" in secrets_of_server(entry, {})
    assert config.problems == ()


def test_other_hosts_spelling_is_taken(load: Load) -> None:
    oauth = {"clientId": "ours", "callbackPort": 8080, "enabled": True, "authorizationUrl": "https://x"}
    config = load_entry(load, {"url": URL, "oauth": oauth})
    assert config.servers["it"].oauth == LoginEntry(client_id="ours", callback_port=8080)
    assert config.problems == ()


@pytest.mark.parametrize("switch", [True, False])
def test_a_mere_switch_says_nothing(load: Load, switch: bool) -> None:
    config = load_entry(load, {"url": URL, "oauth": switch})
    assert config.servers["it"].oauth is None
    assert config.problems == ()


def test_an_unknown_key_is_a_warning_with_the_nearest(load: Load) -> None:
    config = load_entry(load, {"url": URL, "oauth": {"client_di": "ours"}})
    (problem,) = config.problems
    assert problem.place.endswith("mcpServers.it.oauth.client_di")
    assert "`client_id`" in problem.hint
    assert "it" in config.servers


@pytest.mark.parametrize(
    ("oauth", "words"),
    [
        ("yes", "oauth must be an object"),
        ({"client_secret": "s"}, "is missing (mcpServers.it.oauth.client_id"),
        ({"grant": "client_credentials", "client_id": "x"}, "is missing (mcpServers.it.oauth.client_secret"),
        ({"client_id": "x", "client_secret": "s", "private_key": PEM}, "stands beside a `client_secret`"),
        ({"client_id": "x", "private_key": PEM}, "goes with the grant `client_credentials` alone"),
        ({"client_id": "x", "private_key": "/k.pem", "grant": "client_credentials"}, "is no PEM text"),
        ({"grant": "password"}, "must be one of 'authorization_code' or 'client_credentials'"),
        ({"callback_port": 70000}, "oauth.callback_port"),
        ({"client_id": "${NOT_SET}"}, "NOT_SET is not set"),
    ],
)
def test_what_does_not_go_together_makes_that_server_unavailable(load: Load, oauth: Any, words: str) -> None:
    config = load_entry(load, {"url": URL, "oauth": oauth})
    assert "it" not in config.servers
    told = config.unavailable["it"]
    assert words.replace("oauth must", "must") in told
    assert "mcpServers.it.oauth" in told
