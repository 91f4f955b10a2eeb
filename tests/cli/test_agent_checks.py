"""What `doctor` says of agents: each tool's verdict and the rule that decides."""

from typing import Any

from agent_mcp.agent.tools import Tool
from agent_mcp.cli.agent_checks import check_agents
from agent_mcp.config.schema import AgentEntry, Config, ServerEntry
from agent_mcp.downstream.hub import ServerReport

TOOLS = ("get", "put", "wipe")


def report(server: str) -> ServerReport:
    """Three tools, the last of which declares itself destructive."""
    listed = tuple(
        Tool(f"{server}__{name}", "", {}, server, name, read_only=name == "get", destructive=name == "wipe")
        for name in TOOLS
    )
    return ServerReport(server, (), (), None, 0.1, listed=listed)


def config(agents: dict[str, dict[str, Any]], **servers: dict[str, Any]) -> Config:
    entries = {name: ServerEntry.model_validate({"command": "x", **said}) for name, said in servers.items()}
    return Config(
        servers=entries, agents={name: AgentEntry.model_validate(said) for name, said in agents.items()}
    )


def test_each_tool_has_its_verdict_and_the_rule_that_decides() -> None:
    made = config({"a": {"approvals": {"ask": ["docs__p*"]}}}, docs={"approvals": {"deny": ["wipe"]}})
    (found,) = check_agents(made, {"docs": report("docs")}, named="a", whole=False)
    assert (found.level, found.subject) == ("OK", "agent a")
    assert found.message == "3 tools: 1 run, 1 ask, 1 denied"
    assert found.details == (
        "docs__get: run (no rule names it)",
        "docs__put: ask (ask: docs__p*)",
        "docs__wipe: deny (deny: wipe (server docs))",
    )


def test_only_the_agent_that_was_named_shows_its_tools_unless_all_are_wanted() -> None:
    made, reports = config({"a": {}, "b": {"servers": []}}, docs={}), {"docs": report("docs")}
    assert [bool(one.details) for one in check_agents(made, reports, named="a", whole=False)] == [True, False]
    assert [one.details == () for one in check_agents(made, reports, named=None, whole=False)] == [True, True]
    assert len(next(iter(check_agents(made, reports, named=None, whole=True))).details) == 3


def test_tools_that_will_ask_after_untrusted_content_are_told_beforehand() -> None:
    made = config({"a": {"approvals": {"allow": ["mail__put"]}}}, web={"untrusted": True}, mail={})
    reports = {"web": report("web"), "mail": report("mail")}
    (found,) = check_agents(made, reports, named="a", whole=False)
    assert found.message == "6 tools: 4 run, 2 ask, 0 denied"
    made = config({"a": {}}, web={"untrusted": True}, mail={})
    (found,) = check_agents(made, reports, named="a", whole=False)
    assert found.message.endswith("; 1 more ask once there is untrusted content")
    assert "mail__put: run (no rule names it); asks once there is untrusted content" in found.details


def test_an_agent_that_is_not_there_is_a_failure_with_the_nearest() -> None:
    found = [*check_agents(config({"reader": {}}), {}, named="redaer", whole=False)]
    assert (found[0].level, found[0].subject) == ("FAIL", "agent redaer")
    assert "reader" in found[0].fix


def test_a_config_without_agents_has_one_without_a_name() -> None:
    (found,) = check_agents(config({}, docs={}), {"docs": report("docs")}, named=None, whole=False)
    assert found.subject == "without an agent"
    assert [*check_agents(config({}), {}, named=None, whole=False)] == []
