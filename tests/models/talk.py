"""A conversation with a model by hand, as the loop would hold it, for the tests of this room."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from agent_mcp.agent.events import Happening, TextDelta
from agent_mcp.agent.messages import Content, Message, Reply, Text, ToolResult, ToolResults, UserMessage
from agent_mcp.agent.ports import Model, ModelRequest
from agent_mcp.agent.tools import Tool
from agent_mcp.config.schema import ModelEntry
from agent_mcp.models.catalog import ModelCatalog
from agent_mcp.models.retry import RetryPolicy
from tests.support.model_script import Script
from tests.support.model_server import ModelServer, open_model_server

WIRES = ("anthropic:fake", "openai:fake", "openai-chat:fake")
ONE_TRY = RetryPolicy(max_tries=1)
AT_ONCE = RetryPolicy(max_tries=5, base_delay_seconds=0.0)
KEY = "sk-test-0123456789"

ECHO = Tool(
    name="local__echo",
    description="Say it again",
    input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    server="local",
    tool_name="echo",
)

REQUEST = ModelRequest(system="Be brief.", tools=(ECHO,), history=(), session_id="s1")


def environment(server: ModelServer) -> dict[str, str]:
    """Both providers, at the fake server."""
    return {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": server.anthropic_url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.openai_url,
    }


@asynccontextmanager
async def open_catalog(
    server: ModelServer,
    *,
    retry: RetryPolicy = ONE_TRY,
    models: dict[str, ModelEntry] | None = None,
    read_timeout_seconds: float = 10.0,
) -> AsyncGenerator[ModelCatalog]:
    """A catalog whose providers are the server; closed at the end."""
    catalog = ModelCatalog(
        models or {}, environment(server), retry=retry, read_timeout_seconds=read_timeout_seconds
    )
    try:
        yield catalog
    finally:
        await catalog.aclose()


@dataclass
class Talk:
    """A model and the history so far."""

    model: Model
    history: list[Message] = field(default_factory=list[Message])
    happenings: list[Happening] = field(default_factory=list[Happening])
    request: ModelRequest = REQUEST

    async def say(self, text: str) -> Reply:
        """Add a user message and ask."""
        self.history.append(UserMessage(text))
        return await self.ask()

    async def answer(self, *contents: Sequence[Content], is_error: bool = False) -> Reply:
        """Add a result for each call of the last reply, by default an empty one, and ask."""
        last = self.history[-1]
        assert isinstance(last, Reply)
        padded = [*contents, *[(Text("fine"),)] * (len(last.tool_calls) - len(contents))]
        pairs = zip(last.tool_calls, padded, strict=True)
        results = tuple(ToolResult(call.id, tuple(content), is_error) for call, content in pairs)
        self.history.append(ToolResults(results))
        return await self.ask()

    async def ask(self) -> Reply:
        """Ask with the history as it is, and add the reply."""
        request = replace(self.request, history=tuple(self.history))
        reply = await self.model.reply(request, self.happenings.append)
        self.history.append(reply)
        return reply

    @property
    def heard(self) -> str:
        """All text that was emitted."""
        return "".join(event.text for event in self.happenings if isinstance(event, TextDelta))


@asynccontextmanager
async def talk_over(
    reference: str, script: Script, *, retry: RetryPolicy = ONE_TRY, read_timeout_seconds: float = 10.0
) -> AsyncGenerator[tuple[Talk, ModelServer]]:
    """A server with the script, and a conversation with it over the reference's wire."""
    async with (
        open_model_server(script) as server,
        open_catalog(server, retry=retry, read_timeout_seconds=read_timeout_seconds) as catalog,
    ):
        yield Talk(catalog.open_model(reference)), server
