"""What `doctor` checks of models: provider, key, the address that must name one, and prices where a budget needs them.

Asks no model anything; the network is used only for a reference that leaves the model's name to an address.
"""

from collections.abc import Mapping

from agent_mcp.cli.findings import Finding
from agent_mcp.config.profiles import profile_for
from agent_mcp.config.schema import Config
from agent_mcp.errors import PublicError
from agent_mcp.models.catalog import ModelCatalog
from agent_mcp.models.target import SCRIPTED

NOT_SEEN = "what a host's entry sets in `env` is not seen by this command"


async def check_models(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """A finding for each model that can be used, and one for each budget of cost that can't be held."""
    catalog = ModelCatalog(config.models, environ)
    try:
        models = [await _check_model(catalog, name, use) for name, use in _uses(config, catalog).items()]
        return models + await _check_budgets(config, catalog)
    finally:
        await catalog.aclose()


def _uses(config: Config, catalog: ModelCatalog) -> Mapping[str, str]:
    """Who needs a model, by its reference."""
    default = _default(config, catalog)
    uses = {default: "default"}
    uses |= {name: "alias" for name in config.models if name != default}
    for name, agent in config.agents.items():
        if agent.model:
            uses.setdefault(agent.model, f"agent {name}")
    return uses


def _default(config: Config, catalog: ModelCatalog) -> str:
    return config.defaults.model or catalog.default_reference()


async def _check_model(catalog: ModelCatalog, reference: str, use: str) -> Finding:
    subject = f"model ({use})"
    if reference == SCRIPTED:
        message = "none is configured: answers come from the built-in script, which only runs `/call` lines"
        fix = f"set ANTHROPIC_API_KEY or OPENAI_API_KEY, or name a model in defaults.model ({NOT_SEEN})"
        return Finding("WARN", subject, message, fix)
    try:
        catalog.open_model(reference)
        resolved = await catalog.resolve(reference)
    except PublicError as error:
        return Finding("FAIL", subject, f"{reference.rstrip(':')}: {error.message}", error.hint)
    chosen = "" if resolved == reference else ", the first that its address lists"
    return Finding("OK", subject, f"{resolved}{chosen}; its key is set where it needs one")


async def _check_budgets(config: Config, catalog: ModelCatalog) -> list[Finding]:
    """The nameless agent is the one of `defaults`."""
    findings: list[Finding] = []
    for name in (None, *config.agents):
        profile = profile_for(config, name)
        if name != (profile.agent or None) or profile.budget.cost_usd is None:
            continue  # The agent called `default` stands for the nameless one, and has its own turn.
        reference = profile.model or _default(config, catalog)
        if await _is_without_price(catalog, reference):
            message = f"no price of {reference} is known, so `cost_usd` can't be held: sessions are refused"
            fix = "take budget.tokens in place of budget.cost_usd, or a model with a known price"
            findings.append(Finding("WARN", f"budget ({name or 'defaults'})", message, fix))
    return findings


async def _is_without_price(catalog: ModelCatalog, reference: str) -> bool:
    try:
        return not await catalog.has_price(await catalog.resolve(reference))
    except PublicError:
        return False  # It can't be used at all, which has been said.
