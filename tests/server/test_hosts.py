"""How long a call waits: by the call, the config, and what is known of its host."""

from typing import Any

import pytest

from agent_mcp.config.schema import ServerSettings
from agent_mcp.server.hosts import DEFAULT_WAIT_SECONDS, HOSTS, HostWait, host_wait
from agent_mcp.server.results import Waits, turn_result
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.reports import report_turn


def settings(**keys: Any) -> ServerSettings:
    """`server` of a config, as `load` leaves it."""
    return ServerSettings.model_validate(keys)


@pytest.mark.parametrize("name", [None, "", "somebody's own host"])
def test_an_unknown_host_is_taken_to_give_up_after_a_minute(name: str | None) -> None:
    assert host_wait(name, settings()) == HostWait(DEFAULT_WAIT_SECONDS)


@pytest.mark.parametrize("name", ["claude-code", "Claude-Code", "CLAUDE-CODE"])
def test_a_known_host_is_known_in_any_case(name: str) -> None:
    assert host_wait(name, settings()).seconds == 90


def test_the_config_stands_above_the_table_and_a_hosts_own_entry_above_all() -> None:
    configured = settings(wait_seconds=20, hosts={"claude-code": {"wait_seconds": 5}, "cursor-vscode": {}})
    assert host_wait("visual studio code", configured).seconds == 20
    assert host_wait("cursor-vscode", configured).seconds == 20
    assert host_wait("claude-code", configured).seconds == 5


def test_an_asked_wait_counts_as_far_as_the_host_bears_it() -> None:
    desktop = host_wait("claude-ai", settings())
    assert (desktop.applied(None), desktop.applied(10), desktop.applied(3600)) == (45, 10, 230)
    assert host_wait("unknown", settings()).applied(3600) == 3600
    raised = settings(hosts={"claude-ai": {"max_wait_seconds": 600}})
    assert host_wait("claude-ai", raised).applied(3600) == 600


def test_no_host_waits_longer_by_default_than_it_bears() -> None:
    assert all(wait.applied(None) == wait.seconds for wait in HOSTS.values())
    assert all(name == name.lower() for name in HOSTS)


def test_the_result_says_what_was_asked_and_what_held() -> None:
    report = report_turn(SessionState("s"), turn=None)
    content: Any = turn_result(
        report, waits=Waits(230, asked_seconds=3600, cap_seconds=230)
    ).structured_content
    assert content["waited_seconds"] == 230
    assert content["wait_asked_seconds"] == 3600
    assert content["wait_cap_seconds"] == 230
    plain: Any = turn_result(report, waits=Waits(45)).structured_content
    assert plain["waited_seconds"] == 45
    assert "wait_asked_seconds" not in plain and "wait_cap_seconds" not in plain
