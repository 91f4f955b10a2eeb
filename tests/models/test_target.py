"""What is read out of references, aliases and the environment."""

import pytest

from agent_mcp.config.schema import ModelEntry
from agent_mcp.errors import MissingApiKeyError, UnsupportedProviderError
from agent_mcp.models.target import resolve_target

LOCAL = "http://user:secret@localhost:8000/v1?token=secret"


def test_an_aliases_own_address_and_key_win_over_the_environment() -> None:
    entry = ModelEntry(use="openai:m", base_url="http://mine/v1", api_key_env="MY_KEY")
    environ = {"OPENAI_API_KEY": "a", "OPENAI_BASE_URL": "http://theirs/v1", "MY_KEY": "b"}
    target = resolve_target("x", {"x": entry}, environ)
    assert (target.base_url, target.api_key, target.key_variable) == ("http://mine/v1", "b", "MY_KEY")


def test_the_environments_address_serves_both_openai_wires() -> None:
    environ = {"OPENAI_API_KEY": "a", "OPENAI_BASE_URL": "http://theirs/v1"}
    for reference in ("openai:m", "openai-chat:m"):
        assert resolve_target(reference, {}, environ).base_url == "http://theirs/v1"


def test_the_place_in_messages_shows_no_secret() -> None:
    target = resolve_target("openai-chat:m", {}, {"OPENAI_BASE_URL": LOCAL})
    assert target.place == "openai-chat:m at http://localhost:8000/v1"


def test_what_a_provider_repeats_of_key_headers_and_address_is_blotted_out() -> None:
    headers = {"X-Team": "team-header", "Authorization": "Bearer own-token"}
    entry = ModelEntry(use="openai:m", base_url="http://u:pass-word@h/v1", headers=headers)
    target = resolve_target("x", {"x": entry}, {"OPENAI_API_KEY": "sk-key"})
    said = "got sk-key, team-header, own-token, pass-word and dTpwYXNzLXdvcmQ="
    assert target.without_secrets(said) == "got ***, ***, ***, *** and ***"


def test_the_word_for_no_key_is_no_secret() -> None:
    target = resolve_target("openai-chat:m", {}, {"OPENAI_BASE_URL": "http://h/v1"})
    assert target.without_secrets("none of these models") == "none of these models"


def test_the_key_is_not_in_the_repr() -> None:
    assert "sk-key" not in repr(resolve_target("openai:m", {}, {"OPENAI_API_KEY": "sk-key"}))


def test_white_space_around_a_key_is_no_part_of_it() -> None:
    assert resolve_target("openai:m", {}, {"OPENAI_API_KEY": "sk-key\n"}).api_key == "sk-key"


@pytest.mark.parametrize("key", ["sk…key", "two words", "  "])
def test_what_can_be_no_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(MissingApiKeyError) as caught:
        resolve_target("openai:m", {}, {"OPENAI_API_KEY": key})
    assert "OPENAI_API_KEY" in caught.value.message
    assert key.strip() == "" or key not in caught.value.message


@pytest.mark.parametrize(
    "address", ["localhost:8000", "ftp://x", "http://", "http://[::1", "htp://me:hunter22@x"]
)
def test_an_address_that_is_no_url_is_refused(address: str) -> None:
    with pytest.raises(UnsupportedProviderError, match="not an http") as caught:
        resolve_target("openai:m", {}, {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": address})
    assert "hunter22" not in str(caught.value)
