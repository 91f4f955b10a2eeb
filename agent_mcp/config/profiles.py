"""The profile that a session gets from the config: an agent over `defaults`. Pure; opens nothing."""

from collections.abc import Sequence
from typing import Any

from agent_mcp.config.schema import AgentEntry, ApprovalsEntry, BudgetEntry, CapsEntry, Config, ServerEntry
from agent_mcp.config.spelling import nearest
from agent_mcp.errors import AgentNotFoundError
from agent_mcp.sessions.profile import CAP_NAMES, ApprovalRules, Budget, Caps, Profile, ServerTrust

_DEFAULT_AGENT = "default"
_MAX_STEPS = 25


def profile_for(config: Config, agent_name: str | None) -> Profile:
    """The agent of this name; without one that named `default`, else the nameless one: all servers, `defaults`.

    What the agent says itself wins, in `budget` and `approvals` limit by limit and list by list. `model` is empty
    where neither names one.

    Raises:
        AgentNotFoundError: no agent has this name.
    """
    name = agent_name or (_DEFAULT_AGENT if _DEFAULT_AGENT in config.agents else "")
    agent = _agent(config, name) if name else AgentEntry()
    defaults = config.defaults
    servers = _servers(config, agent)
    tools = agent.tools if agent.tools is not None else defaults.tools
    return Profile(
        agent=name,
        description=agent.description or defaults.description,
        model=agent.model or defaults.model or "",
        instructions=agent.instructions or defaults.instructions,
        servers=servers,
        tools=() if tools is None else (tools,),
        max_steps=agent.max_steps or defaults.max_steps or _MAX_STEPS,
        budget=_budget(agent.budget or BudgetEntry(), defaults.budget or BudgetEntry()),
        approvals=_approvals(agent, defaults),
        interrupted={name: config.servers[name].interrupted for name in servers if name in config.servers},
        trust=_trust(config, servers),
    )


def _agent(config: Config, name: str) -> AgentEntry:
    if name in config.agents:
        return config.agents[name]
    if not config.agents:
        hint = "the config has no agents; leave `agent` out"
    else:
        match = nearest(name, config.agents)
        known = ", ".join(sorted(config.agents))
        hint = (f"did you mean `{match}`? " if match else "") + f"known agents: {known}"
    raise AgentNotFoundError(f"there is no agent `{name}`", hint=hint)


def _servers(config: Config, agent: AgentEntry) -> tuple[str, ...]:
    """Those that can't be used are among them, so that the session hears why; those switched off are not."""
    named = agent.servers if agent.servers is not None else config.defaults.servers
    there = (*config.servers, *config.unavailable)
    return there if named is None else tuple(name for name in dict.fromkeys(named) if name in there)


def to_budget(entry: BudgetEntry | None) -> Budget:
    """A budget as it is held; without an entry it limits nothing."""
    return _budget(entry or BudgetEntry(), BudgetEntry())


def _budget(agent: BudgetEntry, defaults: BudgetEntry) -> Budget:
    return Budget(
        **_limits(agent, defaults),
        turn=Caps(**_limits(agent.turn, defaults.turn)),
        day=Caps(**_limits(agent.day, defaults.day)),
    )


def _limits(agent: CapsEntry | None, defaults: CapsEntry | None) -> dict[str, Any]:
    said = [entry for entry in (defaults, agent) if entry is not None]
    values = {name: [getattr(entry, name) for entry in said] for name in CAP_NAMES}
    return {name: next((v for v in reversed(each) if v is not None), None) for name, each in values.items()}


def _trust(config: Config, servers: Sequence[str]) -> dict[str, ServerTrust]:
    """What the servers' entries say of trust, where they say anything."""
    shown = config.server.max_result_characters
    said = {name: _trust_in(config.servers[name], shown) for name in servers if name in config.servers}
    return {name: trust for name, trust in said.items() if trust != ServerTrust()}


def _trust_in(entry: ServerEntry, shown_characters: int) -> ServerTrust:
    match entry.approvals:
        case None:
            rules = ApprovalRules()
        case "off":
            rules = ApprovalRules(off=True)
        case said:
            rules = ApprovalRules(allow=said.allow, ask=said.ask, deny=said.deny)
    return ServerTrust(
        approvals=rules,
        untrusted=entry.untrusted,
        outward=entry.outward,
        pins=entry.pins,
        instructions=entry.instructions,
        max_result_characters=entry.max_result_characters or shown_characters,
    )


def _approvals(agent: AgentEntry, defaults: AgentEntry) -> ApprovalRules:
    """Each list is the agent's if it has that list; `"off"` leaves only the denials of `defaults`."""
    default = defaults.approvals if isinstance(defaults.approvals, ApprovalsEntry) else ApprovalsEntry()
    match agent.approvals:
        case None:
            off = defaults.approvals == "off"
            taint = default.taint == "ask"
            return ApprovalRules(
                allow=default.allow, ask=default.ask, deny=default.deny, off=off, taint=taint
            )
        case "off":
            return ApprovalRules(deny=default.deny, off=True, taint=default.taint == "ask")
        case own:
            said = own.model_fields_set
            return ApprovalRules(
                allow=own.allow if "allow" in said else default.allow,
                ask=own.ask if "ask" in said else default.ask,
                deny=own.deny if "deny" in said else default.deny,
                taint=(own.taint if "taint" in said else default.taint) == "ask",
            )
