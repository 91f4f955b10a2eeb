"""What a child process inherits."""

import sys

from mcp.client.stdio import DEFAULT_INHERITED_ENV_VARS

from agent_mcp.downstream.environment import child_environment

_OURS = {
    "PATH": "/bin",
    "HOME": "/home/u",
    "ANTHROPIC_API_KEY": "secret",
    "OPENAI_API_KEY": "secret",
    "https_proxy": "http://proxy",
    "SSL_CERT_FILE": "/ca.pem",
    "LC_ALL": "C.UTF-8",
    "GITHUB_TOKEN": "token",
    "BASH_FUNC": "() { evil; }",
}


def test_keys_do_not_reach_a_child_that_does_not_name_them() -> None:
    env = child_environment(_OURS, inherit=(), own={}, platform="linux")
    assert not {"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN"} & env.keys()


def test_proxies_certificates_and_locale_reach_every_child() -> None:
    env = child_environment(_OURS, inherit=(), own={}, platform="linux")
    assert (
        env.items()
        >= {"https_proxy": "http://proxy", "SSL_CERT_FILE": "/ca.pem", "LC_ALL": "C.UTF-8"}.items()
    )


def test_a_named_variable_is_inherited_and_its_own_wins() -> None:
    env = child_environment(_OURS, inherit=["GITHUB_TOKEN"], own={"HOME": "/tmp/x"}, platform="linux")
    assert (env["GITHUB_TOKEN"], env["HOME"]) == ("token", "/tmp/x")


def test_exported_shell_functions_are_left_out() -> None:
    assert "BASH_FUNC" not in child_environment(_OURS, inherit=["BASH_FUNC"], own={}, platform="linux")


def test_windows_names_are_compared_without_regard_to_case() -> None:
    ours = {"Path": r"C:\bin", "SystemRoot": r"C:\Windows", "AWS_SECRET": "x"}
    env = child_environment(ours, inherit=(), own={"PATH": r"C:\own"}, platform="win32")
    assert env == {"SystemRoot": r"C:\Windows", "PATH": r"C:\own", "AGENT_MCP_DEPTH": "1"}


def test_all_that_the_sdk_passes_on_is_passed_on() -> None:
    ours = dict.fromkeys(DEFAULT_INHERITED_ENV_VARS, "x")
    assert child_environment(ours, inherit=(), own={}, platform=sys.platform).items() >= ours.items()


def test_a_child_learns_how_deep_it_stands() -> None:
    deeper = child_environment({"AGENT_MCP_DEPTH": "2"}, inherit=(), own={}, platform="linux")
    odd = child_environment(
        {"AGENT_MCP_DEPTH": "no"}, inherit=(), own={"AGENT_MCP_DEPTH": "0"}, platform="linux"
    )
    assert (deeper["AGENT_MCP_DEPTH"], odd["AGENT_MCP_DEPTH"]) == ("3", "1")
