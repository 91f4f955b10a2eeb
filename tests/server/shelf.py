"""A host in this process, on a server with everything that is published besides the tools."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp.client import Client
from mcp.client.session import MessageHandlerFnT

from agent_mcp.config.schema import ServerSettings
from agent_mcp.errors import AgentNotFoundError
from agent_mcp.server.app import build_server
from agent_mcp.server.publish import publish
from agent_mcp.server.tools import PublishedTools
from agent_mcp.sessions.cards import AgentCards
from agent_mcp.sessions.profile import ApprovalRules, Budget, Profile
from agent_mcp.sessions.service import SessionService
from agent_mcp.sessions.start import StartRequest
from tests.support.host import Era
from tests.support.world import FunctionTools, Plan, World, open_world

ASKING = ApprovalRules(ask=("t__put",), deny=("t__drop",))
PROFILES = {
    "note taker": Profile(
        agent="note taker",
        description="Takes notes.",
        model="plan",
        servers=("t",),
        approvals=ASKING,
        budget=Budget(tokens=200_000, cost_usd=0.5),
    ),
    "nobody": Profile(agent="nobody"),
}


class NamedProfiles:
    """The agents of a config."""

    names = tuple(PROFILES)

    def profile(self, agent: str | None) -> Profile:
        """By name."""
        if agent not in PROFILES:
            raise AgentNotFoundError(f"no agent {agent}")
        return PROFILES[agent]


@dataclass(frozen=True)
class Shelf:
    """The host's client, and what stands behind its server."""

    client: Client
    world: World

    @property
    def service(self) -> SessionService:
        """The use cases, as another connection would use them."""
        return self.world.service

    async def start(self, session_id: str, message: str = "hello") -> None:
        """A session of one turn, which has ended."""
        await start(self.service, session_id, message)


async def start(service: SessionService, session_id: str, message: str | None = "hello") -> None:
    """A session of one turn, which has ended; of none without a message."""
    await service.start(StartRequest(message=message), session_id=session_id, wait_seconds=10)


@asynccontextmanager
async def open_shelf(
    folder: Path, *plan: Plan, era: Era = "auto", heard: MessageHandlerFnT | None = None
) -> AsyncGenerator[Shelf]:
    """A connected host, for half a minute at most."""

    async def nothing(arguments: dict[str, object]) -> str:
        return f"done with {arguments}"

    tools = FunctionTools(dict.fromkeys(("look", "put", "drop"), nothing))
    with anyio.fail_after(30):
        async with open_world(folder, *plan, tools=tools) as world:
            published = PublishedTools(world.service, feed=world.feed, clock=world.clock)
            server = build_server(published, settings=ServerSettings(), listed=lambda: None)
            publish(server, world.service, AgentCards(NamedProfiles(), tools))
            async with Client(server, mode=era, message_handler=heard, cache=None) as client:
                yield Shelf(client, world)
