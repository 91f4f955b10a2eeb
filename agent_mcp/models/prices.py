"""What a reply cost, by the price list of genai-prices, which is imported with the first reply, in a thread.

A model that the list does not know costs None, never 0: local models, new ones, the scripted one.
"""

import importlib
from dataclasses import replace
from typing import Any

from anyio import to_thread

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import Reply, Usage
from agent_mcp.agent.ports import Model, ModelRequest
from agent_mcp.models.target import Target

_PROVIDERS = {"anthropic": "anthropic", "openai": "openai"}


class PriceList:
    """Prices by model and provider."""

    def __init__(self) -> None:
        self._calc: Any = None
        self._usage: Any = None
        self._unknown: set[tuple[str, str | None, str | None]] = set()

    async def load(self) -> None:
        """Import the list (0.4 s) unless that is done. The event loop goes on meanwhile."""
        if self._calc is None:
            module = await to_thread.run_sync(_import_list)
            self._usage, self._calc = module.Usage, module.calc_price

    async def cost_usd(self, usage: Usage, *, model: str, target: Target) -> float | None:
        """US dollars; None if no price is known, or nothing was counted."""
        if not usage.input_tokens and not usage.output_tokens:
            return None
        await self.load()
        provider = "openai" if target.is_openai_itself else None
        provider = _PROVIDERS.get(target.provider, provider)
        url = None if provider is not None else target.base_url
        key = (model, provider, url)
        if key in self._unknown:
            return None
        try:
            price = self._calc(
                self._counted(usage), model_ref=model, provider_id=provider, provider_api_url=url
            )
        except LookupError:
            self._unknown.add(key)
            return None
        return float(price.total_price)

    async def knows(self, model: str, target: Target) -> bool:
        """Whether a price is known for this model."""
        return await self.cost_usd(Usage(input_tokens=1), model=model, target=target) is not None

    def _counted(self, usage: Usage) -> Any:
        # Like ours, its input tokens include the cached ones.
        return self._usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )


def _import_list() -> Any:
    module = importlib.import_module("genai_prices")
    # The data are parsed with the first look-up, which takes as long as half the import.
    module.calc_price(module.Usage(input_tokens=1), model_ref="claude-sonnet-5-5", provider_id="anthropic")
    return module


class PricingModel:
    """A model whose replies say what they cost."""

    def __init__(self, model: Model, target: Target, prices: PriceList) -> None:
        self._model = model
        self._target = target
        self._prices = prices

    @property
    def wire(self) -> str:
        """The inner model's."""
        return self._model.wire

    @property
    def name(self) -> str:
        """The inner model's."""
        return self._model.name

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port."""
        reply = await self._model.reply(request, emit)
        cost = await self._prices.cost_usd(reply.usage, model=reply.model, target=self._target)
        return reply if cost is None else replace(reply, usage=replace(reply.usage, cost_usd=cost))
