"""Which reference means which model, what is checked at once, and what only later."""

import re
import subprocess
import sys

import anyio
import pytest

from agent_mcp.config.schema import ModelEntry
from agent_mcp.errors import MissingApiKeyError, TransientModelError, UnsupportedProviderError
from agent_mcp.models.catalog import ModelCatalog
from agent_mcp.sessions.ports import ModelSource
from tests.models.talk import Talk, open_catalog
from tests.support.model_script import Answer, script_of
from tests.support.model_server import open_model_server

pytestmark = pytest.mark.anyio

KEYS = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"}


@pytest.mark.parametrize(
    ("reference", "wire", "name"),
    [
        ("anthropic:claude-opus-5-5", "anthropic", "claude-opus-5-5"),
        ("openai:gpt-6.2-sol", "openai-responses", "gpt-6.2-sol"),
        ("openai-chat:library/qwen3:8b", "openai-chat", "library/qwen3:8b"),
        ("scripted", "scripted", "commands"),
        ("local", "openai-chat", "qwen3"),
    ],
)
async def test_a_reference_names_wire_and_model(reference: str, wire: str, name: str) -> None:
    catalog = ModelCatalog({"local": ModelEntry(use="openai-chat:qwen3")}, KEYS)
    model = catalog.open_model(reference)
    assert (model.wire, model.name) == (wire, name)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("antropic:claude", "did you mean 'anthropic'"),
        ("locl", "did you mean 'local'"),
        ("claude-sonnet-5-5", "provider:model"),
        ("anthropic:", "anthropic:MODEL"),
        ("openai-chat:", "openai-chat:MODEL"),
        ("wrong", r"models\.wrong\.use.*known are: anthropic:…, .*scripted, local"),
    ],
)
async def test_an_unknown_reference_is_refused_with_the_known_ones(reference: str, said: str) -> None:
    models = {"local": ModelEntry(use="anthropic:x"), "wrong": ModelEntry(use="gemini:x")}
    with pytest.raises(UnsupportedProviderError) as caught:
        ModelCatalog(models, KEYS).open_model(reference)
    assert re.search(said, f"{caught.value.message} {caught.value.hint}")


@pytest.mark.parametrize(
    ("reference", "variable"),
    [
        ("anthropic:m", "ANTHROPIC_API_KEY"),
        ("openai:m", "OPENAI_API_KEY"),
        ("openai-chat:m", "OPENAI_API_KEY"),
        ("mine", "MY_KEY"),
    ],
)
async def test_a_missing_key_is_named_at_once(reference: str, variable: str) -> None:
    entry = ModelEntry(use="openai-chat:m", base_url="http://localhost/v1", api_key_env="MY_KEY")
    with pytest.raises(MissingApiKeyError, match=variable):
        ModelCatalog({"mine": entry}, {"OPENAI_API_KEY": ""}).open_model(reference)


@pytest.mark.parametrize(
    "entry",
    [
        ModelEntry(use="openai-chat:m", base_url="http://localhost:1/v1"),
        ModelEntry(use="anthropic:m", base_url="http://localhost:1", api_key_env="NONE"),
    ],
)
async def test_a_server_of_ones_own_may_do_without_a_key(entry: ModelEntry) -> None:
    assert ModelCatalog({"mine": entry}, {}).open_model("mine").name == "m"


async def test_openais_own_address_needs_a_key_even_for_chat() -> None:
    with pytest.raises(MissingApiKeyError):
        ModelCatalog({}, {"OPENAI_BASE_URL": "https://api.openai.com/v1"}).open_model("openai-chat:m")


@pytest.mark.parametrize(
    ("environ", "reference"),
    [
        ({**KEYS, "OPENAI_BASE_URL": "http://localhost/v1"}, "anthropic:claude-sonnet-5-5"),
        ({"OPENAI_API_KEY": "o", "OPENAI_BASE_URL": "http://localhost/v1"}, "openai-chat:"),
        ({"OPENAI_API_KEY": "o"}, "openai:gpt-6.2-sol"),
        ({"ANTHROPIC_API_KEY": ""}, "scripted"),
    ],
)
async def test_the_default_follows_from_what_is_set(environ: dict[str, str], reference: str) -> None:
    catalog = ModelCatalog({}, environ)
    assert catalog.default_reference() == reference
    assert catalog.open_model(reference).wire


async def test_the_first_listed_model_is_taken_where_none_is_named() -> None:
    async with open_model_server(script_of(Answer(text="hi"))) as server, open_catalog(server) as catalog:
        assert await catalog.resolve("openai-chat:") == "openai-chat:fake-model"
        talk = Talk(catalog.open_model("openai-chat:"))
        assert (await talk.say("hello")).model == "fake-model"
        assert talk.model.name == "fake-model"


async def test_complete_references_are_resolved_without_the_network() -> None:
    catalog = ModelCatalog({"local": ModelEntry(use="openai-chat:m")}, KEYS)
    for reference in ("scripted", "local", "anthropic:m"):
        assert await catalog.resolve(reference) == reference


async def test_the_catalog_is_what_the_sessions_ask_for() -> None:
    source: ModelSource = ModelCatalog({}, {})
    assert source.open_model("scripted").wire == "scripted"


async def test_an_address_that_lists_nothing_or_does_not_answer_is_a_clear_error() -> None:
    async with open_model_server() as server, open_catalog(server) as catalog:
        server.models = ()
        with pytest.raises(TransientModelError, match="lists none"):
            await catalog.resolve("openai-chat:")
    with anyio.fail_after(10):
        async with open_catalog(server) as catalog:
            with pytest.raises(TransientModelError, match=r"127\.0\.0\.1.*Connect") as caught:
                await catalog.resolve("openai-chat:")
    assert "AGENT_MCP_MODEL" in caught.value.hint


async def test_sessions_share_one_connection_to_an_address() -> None:
    async with open_model_server(script_of()) as server, open_catalog(server) as catalog:
        for reference in ("openai:m", "openai-chat:m", "openai-chat:other"):
            await Talk(catalog.open_model(reference)).say("hello")
        assert catalog.open_model("openai:m") is catalog.open_model("openai:m")
    assert len({request.port for request in server.requests}) == 1


async def test_a_preloaded_model_answers() -> None:
    async with open_model_server(script_of(Answer(text="hi"))) as server, open_catalog(server) as catalog:
        for reference in ("anthropic:m", "openai-chat:", "scripted"):
            await catalog.preload(reference)
        assert server.requests == []
        assert (await Talk(catalog.open_model("anthropic:m")).say("hello")).text == "hi"


async def test_opening_a_model_imports_no_sdk() -> None:
    code = (
        "import sys; from agent_mcp.models.catalog import ModelCatalog as C\n"
        "C({}, {'ANTHROPIC_API_KEY': 'k', 'OPENAI_API_KEY': 'k'}).open_model('anthropic:m')\n"
        "print([m for m in ('anthropic', 'openai', 'httpx2', 'genai_prices') if m in sys.modules])"
    )
    done = await anyio.run_process([sys.executable, "-c", code], stderr=subprocess.STDOUT)
    assert done.stdout.decode().strip() == "[]"


async def test_the_event_loop_goes_on_while_an_sdk_is_imported() -> None:
    code = """
import anyio, time
from agent_mcp.models.catalog import ModelCatalog
async def main():
    catalog = ModelCatalog({}, {"ANTHROPIC_API_KEY": "k"})
    ticks = 0
    async def preload():
        await catalog.preload("anthropic:m")
        group.cancel_scope.cancel()
    async with anyio.create_task_group() as group:
        group.start_soon(preload)
        while True:
            await anyio.sleep(0.01)
            ticks += 1
            print(ticks, flush=True)
anyio.run(main)
"""
    done = await anyio.run_process([sys.executable, "-c", code])
    assert len(done.stdout.split()) >= 5
