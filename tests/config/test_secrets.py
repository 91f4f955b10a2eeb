"""What a log must not show is known from config and environment."""

from agent_mcp.config.schema import Config, ModelEntry, ServerEntry
from agent_mcp.config.secrets import secrets_of


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
    }
