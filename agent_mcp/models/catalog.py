"""All models by reference: `provider:model`, an alias of the config, or `scripted`. The room's front door.

Checks provider, alias and key at once; SDK, client and price list come with the first reply (or `preload`).
"""

from collections.abc import Mapping
from pathlib import Path

from agent_mcp.agent.ports import Model
from agent_mcp.config.blot import Blot
from agent_mcp.config.names import with_names
from agent_mcp.config.schema import ModelEntry
from agent_mcp.config.secrets import secrets_in_replies
from agent_mcp.models.discreet import DiscreetModel
from agent_mcp.models.loading import AdapterLoader, LazyModel
from agent_mcp.models.prices import PriceList, PricingModel
from agent_mcp.models.retry import RetryingModel, RetryPolicy
from agent_mcp.models.script_file import load_script
from agent_mcp.models.scripted import CommandModel, ScriptedModel
from agent_mcp.models.target import SCRIPTED, resolve_target, split_reference

_ANTHROPIC_DEFAULT = "anthropic:claude-sonnet-5-5"
_OPENAI_DEFAULT = "openai:gpt-6.2-sol"
_FIRST_LISTED = "openai-chat:"


class ModelCatalog:
    """Every model that this process can ask; satisfies `sessions.ports.ModelSource`."""

    def __init__(
        self,
        models: Mapping[str, ModelEntry],
        environ: Mapping[str, str],
        *,
        retry: RetryPolicy | None = None,
        read_timeout_seconds: float = 600.0,
    ) -> None:
        self._models = models
        self._environ = with_names(environ)
        self._retry = retry or RetryPolicy()
        self._loader = AdapterLoader(read_timeout_seconds=read_timeout_seconds)
        self._prices = PriceList()
        self._opened: dict[str, Model] = {}

    def open_model(self, reference: str) -> Model:
        """The model of a reference, with retry and prices around it; the same one for the same reference.

        Raises:
            UnsupportedProviderError: no such provider or alias, or no model is named.
            MissingApiKeyError: its key is not set; the message names the variable.
            ModelError: a script file can't be read.
        """
        provider, file, _ = split_reference(reference, self._models)
        if provider == SCRIPTED:
            # Read anew each time, so that a script can be edited under a running server.
            model = ScriptedModel(load_script(Path(file).expanduser())) if file else CommandModel()
            return RetryingModel(model, self._retry)
        opened = self._opened.get(reference)
        if opened is None:
            opened = self._opened[reference] = self._open(reference)
        return opened

    def default_reference(self) -> str:
        """The model to use where nobody names one, by what the environment sets.

        With OPENAI_BASE_URL that is `openai-chat:`, the first model which that address lists; see `resolve`.
        """
        if self._environ.get("ANTHROPIC_API_KEY"):
            return _ANTHROPIC_DEFAULT
        if self._environ.get("OPENAI_BASE_URL"):
            return _FIRST_LISTED
        if self._environ.get("OPENAI_API_KEY"):
            return _OPENAI_DEFAULT
        return SCRIPTED

    async def resolve(self, reference: str) -> str:
        """The reference with a model's name. Only one without (`openai-chat:`) needs the network, for at most 3 s.

        Raises:
            TransientModelError: the address did not answer, or lists no model.
            UnsupportedProviderError, MissingApiKeyError: as `open_model`.
        """
        provider, model, entry = split_reference(reference, self._models)
        if provider == SCRIPTED or model or entry is not None:
            return reference
        target = await self._loader.named(resolve_target(reference, self._models, self._environ))
        return f"{provider}:{target.model}"

    async def has_price(self, reference: str) -> bool:
        """Whether replies of this model will have a known cost; loads the price list, in a thread.

        Raises:
            UnsupportedProviderError, MissingApiKeyError: as `open_model`.
        """
        if split_reference(reference, self._models)[0] == SCRIPTED:
            return False
        target = resolve_target(reference, self._models, self._environ)
        return await self._prices.knows(target.model, target)

    async def preload(self, reference: str) -> None:
        """Import what a reference will need (SDK, price list) and make its client, in a thread, without network.

        Raises:
            UnsupportedProviderError, MissingApiKeyError: as `open_model`.
        """
        if split_reference(reference, self._models)[0] == SCRIPTED:
            return
        await self._loader.load(resolve_target(reference, self._models, self._environ))
        await self._prices.load()

    async def aclose(self) -> None:
        """Close all connections to providers."""
        self._opened.clear()
        await self._loader.aclose()

    def _open(self, reference: str) -> Model:
        target = resolve_target(reference, self._models, self._environ)
        model = PricingModel(LazyModel(target, self._loader), target, self._prices)
        blot = Blot(secrets_in_replies(target.api_key, target.headers, target.base_url))
        return RetryingModel(DiscreetModel(model, blot), self._retry)
