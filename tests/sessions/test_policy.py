"""Which calls need a person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.policy import Verdict, allowed_by, allowed_exactly, judge, matches, weight
from agent_mcp.sessions.profile import ApprovalRules

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="*?"), min_size=1, max_size=30)


def tool(name: str, *, destructive: bool | None = None) -> Tool:
    server, _, own = name.partition("__")
    return Tool(name, "", {}, server, own, destructive=destructive)


@pytest.mark.parametrize(
    ("rules", "name", "verdict"),
    [
        (ApprovalRules(), "docs__get", "run"),
        (ApprovalRules(ask=("*",)), "docs__get", "ask"),
        (ApprovalRules(allow=("docs__get_*",), ask=("*",)), "docs__get_page", "run"),
        (ApprovalRules(allow=("docs__*",), ask=("docs__delete*",)), "docs__delete_all", "ask"),
        (ApprovalRules(allow=("docs__a*",), ask=("*__a_bcde",)), "docs__a_bcde", "ask"),
        (ApprovalRules(allow=("docs__?",), ask=("docs__*",)), "docs__a", "ask"),
        (ApprovalRules(allow=("docs__delete_all",), deny=("*delete*",)), "docs__delete_all", "deny"),
        (ApprovalRules(off=True), "docs__get", "run"),
        (ApprovalRules(off=True, deny=("*",)), "docs__get", "deny"),
    ],
)
def test_deny_wins_then_the_pattern_with_more_literal_characters(
    rules: ApprovalRules, name: str, verdict: Verdict
) -> None:
    assert judge(rules, tool(name))[0] == verdict


@pytest.mark.parametrize(
    ("rules", "destructive", "verdict"),
    [
        (ApprovalRules(), True, "ask"),
        (ApprovalRules(), False, "run"),
        (ApprovalRules(), None, "run"),
        (ApprovalRules(allow=("docs__*",)), True, "run"),
        (ApprovalRules(off=True), True, "run"),
    ],
)
def test_a_tool_that_no_rule_names_asks_only_if_it_declares_itself_destructive(
    rules: ApprovalRules, destructive: bool | None, verdict: Verdict
) -> None:
    assert judge(rules, tool("docs__x", destructive=destructive))[0] == verdict


def test_a_tool_must_fit_a_pattern_of_every_group() -> None:
    assert allowed_by([], "docs__get")
    assert allowed_by([["docs__*"], ["*get", "*set"]], "docs__get")
    assert not allowed_by([["docs__*"], ["*set"]], "docs__get")
    assert not allowed_by([[]], "docs__get")


@given(NAMES, NAMES)
def test_characters_other_than_the_two_wildcards_stand_for_themselves(name: str, other: str) -> None:
    assert matches(name, name)
    assert matches(name, other) == (name == other)
    assert matches(f"{name}*", name + other)
    assert weight(f"*{name}?") == len(name)


@pytest.mark.parametrize(
    ("agent", "server", "verdict", "rule"),
    [
        (ApprovalRules(), ApprovalRules(ask=("get",)), "ask", "ask: get (server docs)"),
        (ApprovalRules(ask=("*",)), ApprovalRules(allow=("get",)), "run", "allow: get (server docs)"),
        (ApprovalRules(ask=("docs__get",)), ApprovalRules(allow=("get",)), "ask", "ask: docs__get"),
        (ApprovalRules(allow=("docs__get",)), ApprovalRules(ask=("*",)), "run", "allow: docs__get"),
        (ApprovalRules(allow=("*",)), ApprovalRules(ask=("*",)), "ask", "ask: * (server docs)"),
        (ApprovalRules(allow=("docs__get",)), ApprovalRules(deny=("g*",)), "deny", "deny: g* (server docs)"),
        (ApprovalRules(deny=("*",)), ApprovalRules(allow=("get",)), "deny", "deny: *"),
        (ApprovalRules(off=True), ApprovalRules(ask=("*",)), "run", "approvals are off"),
        (ApprovalRules(off=True), ApprovalRules(deny=("*",)), "deny", "deny: * (server docs)"),
        (ApprovalRules(ask=("*",)), ApprovalRules(off=True), "run", "allow: * (server docs)"),
        (ApprovalRules(ask=("docs__get",)), ApprovalRules(off=True), "ask", "ask: docs__get"),
        (ApprovalRules(), ApprovalRules(off=True), "run", "allow: * (server docs)"),
    ],
)
def test_rules_of_a_server_count_as_the_agents_with_its_name_before_them(
    agent: ApprovalRules, server: ApprovalRules, verdict: Verdict, rule: str
) -> None:
    assert judge(agent, tool("docs__get", destructive=True), server) == (verdict, rule)


def test_only_a_rule_without_wildcards_names_a_tool_exactly() -> None:
    assert allowed_exactly(ApprovalRules(allow=("docs__get",)), tool("docs__get"))
    assert allowed_exactly(ApprovalRules(), tool("docs__get"), ApprovalRules(allow=("get",)))
    assert not allowed_exactly(ApprovalRules(allow=("docs__*", "docs__ge?")), tool("docs__get"))
    assert not allowed_exactly(ApprovalRules(allow=("get",)), tool("docs__get"))
