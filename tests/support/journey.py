"""What the journeys share: a home with a worker as its downstream server, and a fake model behind one of the wires."""

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from tests.support.host import API_KEY, ROOT, Home, Host, Json
from tests.support.model_script import Answer, Call, Rule, Script
from tests.support.model_server import ModelServer, open_model_server

WireName = Literal["anthropic", "openai", "openai-chat"]
WIRES: tuple[WireName, ...] = ("anthropic", "openai", "openai-chat")


def worker(folder: Path, **entry: Any) -> Json:
    """The entry of the worker, which works in `folder`."""
    return {
        "command": sys.executable,
        "args": ["-m", "tests.support.servers.worker", str(folder)],
        "cwd": str(ROOT),
        **entry,
    }


def raw(*flags: str, **entry: Any) -> Json:
    """The entry of the server that misbehaves as asked."""
    return {
        "command": sys.executable,
        "args": ["-m", "tests.support.servers.raw", *flags],
        "cwd": str(ROOT),
        **entry,
    }


def work_done(home: Home) -> list[str]:
    """What the worker has begun, in order."""
    log = home.folder / "work.log"
    return log.read_text().splitlines() if log.exists() else []


def release(home: Home, *items: str) -> None:
    """Let the held calls of these items end."""
    for item in items:
        (home.folder / f"{item}.go").touch()


def model_environ(wire: WireName, port: int) -> dict[str, str]:
    """The environment in which a server talks to the fake model."""
    address = f"http://127.0.0.1:{port}"
    settings = {
        "anthropic": {"ANTHROPIC_API_KEY": API_KEY, "ANTHROPIC_BASE_URL": address},
        "openai": {"OPENAI_API_KEY": API_KEY, "OPENAI_BASE_URL": f"{address}/v1"},
        "openai-chat": {"OPENAI_API_KEY": API_KEY, "OPENAI_BASE_URL": f"{address}/v1"},
    }
    return {"AGENT_MCP_MODEL": f"{wire}:fake-model", **settings[wire]}


def call(tool: str, **arguments: Any) -> Call:
    """The model's wish to have the worker do something."""
    return Call(name=f"desk__{tool}", arguments=arguments)


def calls(*wanted: Call, text: str = "") -> Answer:
    """A reply that calls tools."""
    return Answer(text=text, calls=wanted)


def says(text: str, **fields: Any) -> Answer:
    """A reply of text."""
    return Answer(text=text, **fields)


def script(rules: Mapping[str, Sequence[Answer]]) -> Script:
    """Answers by what the user's last message says."""
    return Script(rules=tuple(Rule(match, tuple(answers)) for match, answers in rules.items()))


@dataclass
class Scene:
    """A home and the model that its servers talk to."""

    home: Home
    model: ModelServer


@asynccontextmanager
async def open_scene(
    folder: Path,
    rules: Mapping[str, Sequence[Answer]],
    *,
    wire: WireName = "openai-chat",
    config: Mapping[str, Any] | None = None,
    **desk: Any,
) -> AsyncGenerator[Scene]:
    """A home with the worker as `desk`, and a model that follows the rules."""
    async with open_model_server(script(rules)) as model:
        home = Home(folder, {"mcpServers": {"desk": worker(folder, **desk)}, **(config or {})})
        home.environ.update(model_environ(wire, model.port))
        yield Scene(home, model)


async def transcript(host: Host, session_id: str) -> list[Json]:
    """All of it, page by page."""
    entries: list[Json] = []
    offset: int | None = 0
    while offset is not None:
        page = await host.call("summary", session_id=session_id, detail="full", offset=offset)
        entries += cast("list[Json]", page["transcript"])
        offset = page["next_offset"]
    return entries
