"""What replies cost, by the real price list."""

import pytest

from agent_mcp.agent.messages import Usage
from agent_mcp.models.prices import PriceList
from agent_mcp.models.target import ApiProvider, Target

pytestmark = pytest.mark.anyio

MILLION = 1_000_000


async def cost(
    provider: ApiProvider, model: str, *, base_url: str | None = None, usage: Usage | None = None
) -> float | None:
    target = Target(provider=provider, model=model, api_key="k", base_url=base_url)
    counted = usage or Usage(input_tokens=100_000)
    return await PriceList().cost_usd(counted, model=model, target=target)


@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        ("anthropic", "claude-sonnet-5-5", 0.2),
        ("openai", "gpt-6.1-sol", 0.2),
        ("openai-chat", "gpt-6.1-sol", 0.2),
    ],
)
async def test_known_models_cost_what_their_provider_asks(
    provider: ApiProvider, model: str, usd: float
) -> None:
    assert await cost(provider, model) == pytest.approx(usd)


async def test_cached_input_is_cheaper_and_not_counted_twice() -> None:
    usage = Usage(
        input_tokens=100_000, output_tokens=10_000, cache_read_tokens=50_000, cache_write_tokens=20_000
    )
    assert await cost("anthropic", "claude-sonnet-5-5", usage=usage) == pytest.approx(0.215)


async def test_an_unknown_model_has_no_price_however_often_one_asks() -> None:
    prices = PriceList()
    target = Target(provider="anthropic", model="m", api_key="k")
    for _ in range(2):
        assert (
            await prices.cost_usd(Usage(input_tokens=MILLION), model="no-such-model", target=target) is None
        )


async def test_a_compatible_server_does_not_borrow_openais_prices() -> None:
    assert await cost("openai-chat", "gpt-6.1-sol", base_url="http://localhost:11434/v1") is None


async def test_nothing_counted_is_no_price_rather_than_zero() -> None:
    assert await cost("anthropic", "claude-sonnet-5-5", usage=Usage()) is None
