"""The yardstick: an `MCPServer` with one tool and a plain loop on the SDKs, streaming, in memory, nothing stored.

`python -m benchmarks.bare WIRE PORT [TOOLS]` with WIRE one of anthropic, openai, openai-chat. Written as a user of the
SDKs would who cares for speed a little: what the handshake does not need is imported after it, streams are read event
by event, histories are plain dicts, tools are listed once. No limits, no errors handled, and no session survives it.
"""

import json
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server import MCPServer

WIRE, PORT = sys.argv[1], sys.argv[2]
TOOLS = sys.argv[3:]

History = list[dict[str, Any]]
Calls = list[tuple[str, str, str]]
"""Id, name, arguments as JSON."""
histories: defaultdict[str, History] = defaultdict(list)


class Downstream:
    """The one stdio server, connected with the first message."""

    def __init__(self) -> None:
        self.client: Any = None
        self.tools: list[Any] = []
        self.model: Any = None
        self.wanted, self.ready = anyio.Event(), anyio.Event()

    async def hold(self) -> None:
        """Keep the connection open, in the task that made it."""
        await self.wanted.wait()
        from mcp.client import Client
        from mcp.client.stdio import StdioServerParameters, stdio_client

        command = StdioServerParameters(command=sys.executable, args=["-m", "benchmarks.echo", *TOOLS])
        async with Client(stdio_client(command)) as self.client:
            self.tools = (await self.client.list_tools()).tools
            self.model = MODELS[WIRE](self.tools)
            self.ready.set()
            await anyio.sleep_forever()

    async def call(self, name: str, arguments: str) -> str:
        """The text of one call's result."""
        result = await self.client.call_tool(name, json.loads(arguments))
        return "\n".join(block.text for block in result.content)


class Anthropic:
    """Messages API."""

    def __init__(self, tools: list[Any]) -> None:
        from anthropic import AsyncAnthropic

        self.client = AsyncAnthropic(api_key="none", base_url=f"http://127.0.0.1:{PORT}", max_retries=0)
        self.tools: Any = [
            {"name": t.name, "description": t.description, "input_schema": t.input_schema} for t in tools
        ]

    async def step(self, history: Any) -> tuple[str, Calls]:
        """One reply, added to the history."""
        blocks: History = []
        stream = await self.client.messages.create(
            model="bench", max_tokens=32_000, messages=history, tools=self.tools, stream=True
        )
        async for event in stream:
            if event.type == "content_block_start":
                blocks.append({**event.content_block.model_dump(exclude_none=True), "json": ""})
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                blocks[event.index]["text"] += event.delta.text
            elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                blocks[event.index]["json"] += event.delta.partial_json
        raw = [block.pop("json") for block in blocks]
        for block, arguments in zip(blocks, raw, strict=True):
            if block["type"] == "tool_use":
                block["input"] = json.loads(arguments)
        history.append({"role": "assistant", "content": blocks})
        calls = [(b["id"], b["name"], a) for b, a in zip(blocks, raw, strict=True) if b["type"] == "tool_use"]
        return "".join(b["text"] for b in blocks if b["type"] == "text"), calls

    def results(self, results: dict[str, str]) -> History:
        """What answers the calls of a reply."""
        blocks = [
            {"type": "tool_result", "tool_use_id": key, "content": text} for key, text in results.items()
        ]
        return [{"role": "user", "content": blocks}]


class Responses:
    """OpenAI Responses, stateless."""

    def __init__(self, tools: list[Any]) -> None:
        from openai import AsyncOpenAI

        self.client = AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{PORT}/v1", max_retries=0)
        self.tools: Any = [
            {"type": "function", "name": t.name, "description": t.description, "parameters": t.input_schema}
            for t in tools
        ]

    async def step(self, history: Any) -> tuple[str, Calls]:
        """One reply, added to the history."""
        stream = await self.client.responses.create(
            model="bench", input=history, tools=self.tools, store=False, stream=True
        )
        text, calls = "", Calls()
        async for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.output_item.done":
                history.append(event.item.model_dump(exclude_none=True))
                if event.item.type == "function_call":
                    calls.append((event.item.call_id, event.item.name, event.item.arguments))
        return text, calls

    def results(self, results: dict[str, str]) -> History:
        """What answers the calls of a reply."""
        return [
            {"type": "function_call_output", "call_id": key, "output": text} for key, text in results.items()
        ]


class Chat:
    """OpenAI Chat Completions."""

    def __init__(self, tools: list[Any]) -> None:
        from openai import AsyncOpenAI

        self.client = AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{PORT}/v1", max_retries=0)
        self.tools: Any = [
            {
                "type": "function",
                "function": {"name": t.name, "description": t.description, "parameters": t.input_schema},
            }
            for t in tools
        ]

    async def step(self, history: Any) -> tuple[str, Calls]:
        """One reply, added to the history."""
        stream = await self.client.chat.completions.create(
            model="bench", messages=history, tools=self.tools, stream=True
        )
        text, parts = "", list[list[str]]()
        async for chunk in stream:
            delta = chunk.choices[0].delta if chunk.choices else None
            text += (delta and delta.content) or ""
            for call in (delta and delta.tool_calls) or ():
                function: Any = call.function
                if call.index == len(parts):
                    parts.append([call.id or "", function.name, ""])
                parts[call.index][2] += function.arguments or ""
        calls = [(key, name, arguments) for key, name, arguments in parts]
        wanted = [
            {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}
            for key, name, arguments in calls
        ]
        history.append({"role": "assistant", "content": text, **({"tool_calls": wanted} if wanted else {})})
        return text, calls

    def results(self, results: dict[str, str]) -> History:
        """What answers the calls of a reply."""
        return [{"role": "tool", "tool_call_id": key, "content": text} for key, text in results.items()]


MODELS: dict[str, Any] = {"anthropic": Anthropic, "openai": Responses, "openai-chat": Chat}
downstream = Downstream()


@asynccontextmanager
async def lifespan(_: Any) -> AsyncGenerator[None]:
    """Hold the downstream connection beside the server."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(downstream.hold)
        yield
        tasks.cancel_scope.cancel()


server = MCPServer("bare", lifespan=lifespan)


@server.tool()
async def send_message(session_id: str, message: str) -> str:
    """Say something and get the agent's answer."""
    downstream.wanted.set()
    await downstream.ready.wait()
    history = histories[session_id]
    history.append({"role": "user", "content": message})
    while True:
        text, calls = await downstream.model.step(history)
        if not calls:
            return text
        results = {key: "" for key, _, _ in calls}

        async def run(key: str, name: str, arguments: str, into: dict[str, str] = results) -> None:
            into[key] = await downstream.call(name, arguments)

        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(run, *call)
        history += downstream.model.results(results)


if __name__ == "__main__":
    server.run("stdio")
