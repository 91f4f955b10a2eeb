"""What a log must not show is known from config and environment."""

from agent_mcp.config.schema import Config, ModelEntry, ServerEntry
from agent_mcp.config.secrets import blotted, secrets_of, secrets_of_model, secrets_of_server


def test_keys_tokens_and_headers_are_secrets_and_ordinary_values_are_not() -> None:
    servers = {
        "web": ServerEntry(
            url="https://u:hunter22@x/mcp?api_key=in-the-url&page=number-one",
            headers={"Authorization": "Bearer web-token"},
        ),
        "local": ServerEntry(command="x", env={"GITHUB_TOKEN": "gh-token", "LANGUAGE": "english"}),
    }
    models = {"m": ModelEntry(use="openai-chat:x", api_key_env="MINE", headers={"X-Key": "model-header"})}
    own = {"agent": ServerEntry(command="agent-mcp", env={"OPENAI_API_KEY": "key-of-the-host"})}
    config = Config(servers=servers, left_out=own, models=models, store="postgresql://u:db-password@h/d")
    environ = {
        "ANTHROPIC_API_KEY": "sk-ant-1",
        "MINE": "my-own-key",
        "GIT_AUTHOR_NAME": "Somebody",
        "SHORT_KEY": "abc",
    }
    assert secrets_of(config, environ) == {
        *("sk-ant-1", "my-own-key", "gh-token", "Bearer web-token", "web-token", "model-header"),
        *("hunter22", "in-the-url", "db-password", "key-of-the-host"),
        *("dTpodW50ZXIyMg==", "dTpkYi1wYXNzd29yZA=="),
    }


def test_secrets_of_a_server_are_sought_in_its_addresses_and_arguments_too() -> None:
    server = ServerEntry(
        command="x",
        args=("--token", "given-apart", "--api-key=joined-up", "-v", "postgres://u:in%2Dargs@h/d"),
        env={"DATABASE_URL": "postgres://u:in-the-env@h/d", "HOMEPAGE": "https://example.org/x"},
        inherit_env=("MY_TOKEN", "EDITOR"),
    )
    environ = {"MY_TOKEN": "inherited", "EDITOR": "some-editor", "HTTPS_PROXY": "http://u:by-proxy@p"}
    found = secrets_of_server(server, {**environ, "OTHER_TOKEN": "not-handed-on"})
    assert {"inherited", "by-proxy"} <= found
    assert not {"some-editor", "not-handed-on"} & found
    assert {"given-apart", "joined-up", "in%2Dargs", "in-args", "in-the-env"} <= found
    assert blotted("a given-apart postgres://u:in-the-env@h b", found) == "a *** postgres://u:***@h b"


def test_a_user_without_a_password_is_a_token() -> None:
    assert "lone-token" in secrets_of_model({}, "https://lone-token@x/v1")
    assert "somebody" not in secrets_of_model({}, "https://somebody:with-password@x/v1")


def test_an_address_that_is_none_hides_nothing_and_costs_nothing() -> None:
    assert secrets_of(Config(store="postgres://[x"), {}) == frozenset()
