"""`agent-mcp demo`: the main job on a fresh machine, as a host sees it.

Starts the real server over stdio with a real MCP client; the server starts the demo's own MCP server. Nothing outside
a temporary directory is read or written, and without a model's key no network is used.
"""

import json
import os
import sys
import tempfile
import textwrap
from argparse import Namespace
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

from agent_mcp.cli.lifetime import run_to_end
from agent_mcp.errors import AgentMcpError

_CALL_SECONDS = 45
_WIDTH = 100
Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Messages:
    """What the demo's user says."""

    first: str
    second: str


_FOR_A_MODEL = Messages(
    first=(
        "Keep two notes for me, 'buy milk' and 'call Ada', count the words of 'the quick brown fox', and look at "
        "the clock. Do all four at once, then tell me in one sentence what you did."
    ),
    second="Without looking again: which notes did I give you, and how many words did you count? Then list the notes.",
)
_FOR_THE_SCRIPT = Messages(
    first="""\
Keep two notes, count some words and look at the clock, all at once.
/call desk__add_note {"text": "buy milk"}
/call desk__add_note {"text": "call Ada"}
/call desk__count_words {"text": "the quick brown fox"}
/call desk__current_time {}""",
    second="Which notes did I give you?\n/call desk__list_notes {}",
)


def run(options: Namespace) -> int:
    """Run the demo and print it.

    Raises:
        AgentMcpError: a step of it failed.
    """
    with tempfile.TemporaryDirectory(prefix="agent-mcp-demo-", ignore_cleanup_errors=True) as directory:
        return run_to_end(partial(_demo, Path(directory), debug=options.debug))


async def _demo(directory: Path, *, debug: bool) -> int:
    async with _open_host(directory, debug=debug) as host:
        await _introduce(host)
        session_id, messages = await _start(host)
        await _send(host, session_id, messages.first, number=3)
        await _send(host, session_id, messages.second, number=4)
        await _summarize(host, session_id)
    return 0


@asynccontextmanager
async def _open_host(directory: Path, *, debug: bool) -> AsyncGenerator[Client]:
    config = directory / "config.json"
    desk = {"command": sys.executable, "args": ["-m", "agent_mcp.cli.demo_server"]}
    store = f"sqlite:///{(directory / 'sessions.db').as_posix()}"
    config.write_text(json.dumps({"mcpServers": {"desk": desk}, "store": store}), encoding="utf-8")
    # The model comes from the user's environment, everything else from here.
    environ = {name: value for name, value in os.environ.items() if name != "AGENT_MCP_STORE"}
    arguments = ["-m", "agent_mcp", "serve", "--config", str(config), *(["--debug"] if debug else [])]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environ)
    _heading(1, "Start the server, as a host does from its config")
    _show("command", f"python {' '.join(arguments[:3])} --config (a temporary one)")
    log = directory / "server.log"
    with log.open("w", encoding="utf-8") as errors:
        try:
            async with Client(stdio_client(server, errlog=sys.stderr if debug else errors)) as client:
                yield client
        except Exception as error:
            leaf = _leaf(error)
            if isinstance(leaf, AgentMcpError | BrokenPipeError):
                raise leaf from None
            said = log.read_text(encoding="utf-8").strip().splitlines()
            raise AgentMcpError(f"the demo failed: {said[-1] if said else leaf!r}") from error


def _leaf(error: BaseException) -> BaseException:
    """What the task groups of client and transport have wrapped."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    return _leaf(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])


async def _introduce(host: Client) -> None:
    tools = await host.list_tools()
    if info := host.server_info:  # The newest protocol does not ask for it.
        _show("connected", f"{info.name} {info.version}")
    _show("its tools", ", ".join(tool.name for tool in tools.tools))
    _show("behind it", "one MCP server, `desk`, which ships with this package: notes, a word count, a clock")


async def _start(host: Client) -> tuple[str, Messages]:
    _heading(2, "start_session: an agent with its own model, tools and history")
    started = await _call(host, "start_session")
    session_id = str(started["session_id"])
    summary = await _call(host, "summary", session_id=session_id)
    model = str(summary["model"])
    _show("session", session_id)
    if model != "scripted":
        _show("model", model)
        return session_id, _FOR_A_MODEL
    _show("model", "none is configured: the built-in scripted model stands in, which only runs `/call` lines")
    _show("", "Set ANTHROPIC_API_KEY or OPENAI_API_KEY and run the demo again to see a real one.")
    return session_id, _FOR_THE_SCRIPT


async def _send(host: Client, session_id: str, message: str, *, number: int) -> None:
    _heading(number, "send_message")
    _show("user", message)
    result = await _call(host, "send_message", session_id=session_id, message=message)
    _show_steps(result)
    while result["status"] == "running":
        _show("still", "running; send_message without a message keeps waiting")
        result = await _call(host, "send_message", session_id=session_id)
        _show_steps(result)
    _show("answer", str(result["text"]))
    _show("ended", f"{result['stop_reason']}, {_usage(result)}")


def _show_steps(result: Result) -> None:
    for step in cast("Sequence[Result]", result["steps"]):
        calls = cast("Sequence[Result]", step["tool_calls"])
        if calls:
            together = f", {len(calls)} calls side by side" if len(calls) > 1 else ""
            _show(f"step {step['step_number']}", f"the model calls tools{together}")
        for call in calls:
            _show("", f"{call['name']} {call['arguments']}: {call['status']}, {call['duration_ms']} ms")


async def _summarize(host: Client, session_id: str) -> None:
    _heading(5, "summary: what the session did, from its log on disk")
    summary = await _call(host, "summary", session_id=session_id)
    _show("turns", f"{summary['turns']}, in {summary['steps']} steps and {summary['messages']} messages")
    _show(
        "tool calls", f"{summary['total_tool_calls']}, {summary['successful_tool_calls']} of them successful"
    )
    _show("usage", _usage(summary))
    print("\nThat was all of it: put agent-mcp into your host's config, and it has these tools.")


async def _call(host: Client, name: str, **arguments: object) -> Result:
    """A tool's structured result.

    Raises:
        AgentMcpError: the tool reports an error.
    """
    result = await host.call_tool(name, arguments, read_timeout_seconds=_CALL_SECONDS + 15)
    content: Result = result.structured_content or {}
    if error := content.get("error"):
        hint = f" ({error['hint']})" if error["hint"] else ""
        raise AgentMcpError(f"{name}: {error['code']}: {error['message']}{hint}")
    return content


def _usage(result: Result) -> str:
    usage = result["usage"]
    cost = "cost unknown" if usage["cost_usd"] is None else f"{usage['cost_usd']:.4f} USD"
    return f"{usage['input_tokens']} tokens in, {usage['output_tokens']} out, {cost}"


def _heading(number: int, text: str) -> None:
    print(f"\n{number}. {text}", flush=True)


def _show(label: str, text: str) -> None:
    """A label at the left, the text beside it, wrapped."""
    indent = " " * 15
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _WIDTH - 15) or [""]]
    first, *rest = lines or [""]
    print(f"   {label:<11} {first}", flush=True)
    for line in rest:
        print(f"{indent}{line}", flush=True)
