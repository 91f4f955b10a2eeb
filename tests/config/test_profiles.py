"""From config and agent name to the profile that a session keeps."""

from typing import Any

import pytest

from agent_mcp.config.profiles import profile_for
from agent_mcp.config.schema import (
    AgentEntry,
    ApprovalsEntry,
    BudgetEntry,
    Config,
    Defaults,
    ServerEntry,
    ServerSettings,
)
from agent_mcp.errors import AgentNotFoundError
from agent_mcp.sessions.profile import ApprovalRules, Budget, ServerTrust


def config(**parts: Any) -> Config:
    servers = {"docs": ServerEntry(command="x"), "git": ServerEntry(command="x", interrupted="retry")}
    return Config(servers=servers, unavailable={"down": "why"}, disabled=("off",), **parts)


def test_without_any_agent_all_servers_and_the_defaults_hold() -> None:
    profile = profile_for(config(defaults=Defaults(model="a:b", max_steps=3, instructions="i")), None)
    assert (profile.agent, profile.model, profile.max_steps, profile.instructions) == ("", "a:b", 3, "i")
    assert profile.servers == ("docs", "git", "down")
    assert profile.tools == ()
    assert profile.interrupted == {"docs": "unknown", "git": "retry"}


def test_an_empty_config_gives_25_steps_and_no_model() -> None:
    profile = profile_for(Config(), None)
    assert (profile.max_steps, profile.model, profile.servers) == (25, "", ())


def test_the_agent_named_default_is_the_one_without_a_name() -> None:
    agents = {"default": AgentEntry(instructions="mine"), "other": AgentEntry()}
    assert profile_for(config(agents=agents), None).instructions == "mine"
    assert profile_for(config(agents=agents), "other").agent == "other"


def test_what_the_agent_says_wins_over_the_defaults() -> None:
    defaults = Defaults(model="a:b", max_steps=3, tools=("docs__*",), servers=("docs",), description="d")
    agent = AgentEntry(model="c:d", max_steps=9, tools=(), servers=("git", "git", "off"), description="own")
    profile = profile_for(config(defaults=defaults, agents={"a": agent}), "a")
    assert (profile.model, profile.max_steps, profile.description) == ("c:d", 9, "own")
    assert profile.servers == ("git",)
    assert profile.tools == ((),)


def test_budgets_are_merged_limit_by_limit() -> None:
    defaults = Defaults(budget=BudgetEntry(cost_usd=1.0, tokens=5))
    agent = AgentEntry(budget=BudgetEntry(tokens=7, tool_calls=0))
    profile = profile_for(config(defaults=defaults, agents={"a": agent}), "a")
    assert profile.budget == Budget(tokens=7, cost_usd=1.0, tool_calls=0)


@pytest.mark.parametrize(
    ("own", "rules"),
    [
        (None, ApprovalRules(allow=("x",), deny=("y",))),
        ("off", ApprovalRules(deny=("y",), off=True)),
        (ApprovalsEntry(ask=("*",)), ApprovalRules(allow=("x",), ask=("*",), deny=("y",))),
        (ApprovalsEntry(allow=(), deny=()), ApprovalRules()),
    ],
)
def test_approvals_are_merged_list_by_list(own: Any, rules: ApprovalRules) -> None:
    defaults = Defaults(approvals=ApprovalsEntry(allow=("x",), deny=("y",)))
    agents = {"a": AgentEntry(approvals=own)}
    assert profile_for(config(defaults=defaults, agents=agents), "a").approvals == rules


def test_approvals_off_in_the_defaults_hold_for_an_agent_without_rules() -> None:
    made = config(
        defaults=Defaults(approvals="off"),
        agents={"a": AgentEntry(), "b": AgentEntry(approvals=ApprovalsEntry())},
    )
    assert profile_for(made, "a").approvals == ApprovalRules(off=True)
    assert profile_for(made, "b").approvals == ApprovalRules()


def test_an_unknown_agent_is_refused_with_the_nearest_and_all_known() -> None:
    with pytest.raises(AgentNotFoundError) as caught:
        profile_for(config(agents={"researcher": AgentEntry(), "b": AgentEntry()}), "reseacher")
    assert caught.value.hint == "did you mean `researcher`? known agents: b, researcher"


def test_an_agent_of_a_config_without_agents_is_refused() -> None:
    with pytest.raises(AgentNotFoundError) as caught:
        profile_for(config(), "any")
    assert "leave `agent` out" in caught.value.hint


def test_what_an_entry_says_of_trust_is_in_the_profile_and_nothing_of_the_others() -> None:
    said = ServerEntry.model_validate(
        {
            "command": "x",
            "untrusted": True,
            "outward": ["send_*"],
            "approvals": {"deny": ["wipe"]},
            "pins": "ask",
            "instructions": True,
        }
    )
    made = Config(servers={"web": said, "docs": ServerEntry(command="x")})
    assert profile_for(made, None).trust == {
        "web": ServerTrust(
            approvals=ApprovalRules(deny=("wipe",)),
            untrusted=True,
            outward=("send_*",),
            pins="ask",
            instructions=True,
        )
    }


def test_how_much_of_a_result_is_shown_says_the_servers_entry_before_our_own_settings() -> None:
    docs = ServerEntry.model_validate({"command": "x", "max_result_characters": 5_000})
    servers = {"docs": docs, "web": ServerEntry(command="x")}
    made = Config(servers=servers, server=ServerSettings(max_result_characters=9_000))
    shown = {name: trust.max_result_characters for name, trust in profile_for(made, None).trust.items()}
    assert shown == {"docs": 5_000, "web": 9_000}


@pytest.mark.parametrize(
    ("outward", "patterns"), [(True, ("*",)), (False, ()), (["a"], ("a",)), (None, None)]
)
def test_outward_is_all_tools_none_or_those_that_match(outward: object, patterns: object) -> None:
    assert ServerEntry.model_validate({"command": "x", "outward": outward}).outward == patterns


def test_off_in_an_entry_is_a_rule_of_that_server() -> None:
    made = Config(servers={"docs": ServerEntry.model_validate({"command": "x", "approvals": "off"})})
    assert profile_for(made, None).trust["docs"].approvals == ApprovalRules(off=True)


@pytest.mark.parametrize(
    ("defaults", "agent", "taint"),
    [
        (None, None, True),
        (ApprovalsEntry(taint="off"), None, False),
        (ApprovalsEntry(taint="off"), ApprovalsEntry(ask=("*",)), False),
        (ApprovalsEntry(taint="off"), ApprovalsEntry(taint="ask"), True),
        (ApprovalsEntry(taint="off"), "off", False),
        ("off", None, True),
        (None, "off", True),
    ],
)
def test_only_the_key_itself_switches_the_taint_rule_off(defaults: Any, agent: Any, taint: bool) -> None:
    made = config(defaults=Defaults(approvals=defaults), agents={"a": AgentEntry(approvals=agent)})
    assert profile_for(made, "a").approvals.taint is taint
