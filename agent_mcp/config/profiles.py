"""The profile that a session gets from the config: an agent over `defaults`. Pure; opens nothing."""

from agent_mcp.config.schema import AgentEntry, ApprovalsEntry, BudgetEntry, Config
from agent_mcp.config.spelling import nearest
from agent_mcp.errors import AgentNotFoundError
from agent_mcp.sessions.profile import ApprovalRules, Budget, Profile

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


def _budget(agent: BudgetEntry, defaults: BudgetEntry) -> Budget:
    return Budget(
        tokens=defaults.tokens if agent.tokens is None else agent.tokens,
        cost_usd=defaults.cost_usd if agent.cost_usd is None else agent.cost_usd,
        seconds=defaults.seconds if agent.seconds is None else agent.seconds,
        tool_calls=defaults.tool_calls if agent.tool_calls is None else agent.tool_calls,
    )


def _approvals(agent: AgentEntry, defaults: AgentEntry) -> ApprovalRules:
    """Each list is the agent's if it has that list; `"off"` leaves only the denials of `defaults`."""
    default = defaults.approvals if isinstance(defaults.approvals, ApprovalsEntry) else ApprovalsEntry()
    match agent.approvals:
        case None:
            off = defaults.approvals == "off"
            return ApprovalRules(allow=default.allow, ask=default.ask, deny=default.deny, off=off)
        case "off":
            return ApprovalRules(deny=default.deny, off=True)
        case own:
            said = own.model_fields_set
            return ApprovalRules(
                allow=own.allow if "allow" in said else default.allow,
                ask=own.ask if "ask" in said else default.ask,
                deny=own.deny if "deny" in said else default.deny,
            )
