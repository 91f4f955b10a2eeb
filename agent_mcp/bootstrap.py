"""The composition root: the only file that names concrete adapters and puts them together."""

import logging
import os
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import anyio
from anyio.abc import TaskGroup

from agent_mcp.config.blot import Blot
from agent_mcp.config.paths import identity_of
from agent_mcp.config.profiles import profile_for, to_budget
from agent_mcp.config.schema import Config
from agent_mcp.config.secrets import declared_secrets
from agent_mcp.config.serving import state_keys
from agent_mcp.dispatch.local import open_dispatcher
from agent_mcp.downstream.hub import Hub, open_hub
from agent_mcp.errors import ConfigError, PublicError
from agent_mcp.models.catalog import ModelCatalog
from agent_mcp.observability.telemetry import Telemetry
from agent_mcp.observability.wishes import open_telemetry
from agent_mcp.server.app import McpServer, build_server
from agent_mcp.server.desktop import DesktopNotifier
from agent_mcp.server.publish import publish
from agent_mcp.server.tools import PublishedTools
from agent_mcp.sessions.cards import AgentCards
from agent_mcp.sessions.chain import depth_of
from agent_mcp.sessions.live import LiveFeed
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.meter import Budgets
from agent_mcp.sessions.pinning import PinBook
from agent_mcp.sessions.ports import Dispatcher, SessionStore
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.retention import Housekeeper
from agent_mcp.sessions.room import ServiceLimits
from agent_mcp.sessions.runner import TurnRunner
from agent_mcp.sessions.service import SessionService
from agent_mcp.sessions.waiting import Waits
from agent_mcp.store.open import default_store_url, is_postgres, open_store

log = logging.getLogger(__name__)


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds from some fixed point, never going back."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class ConfiguredAgents:
    """The agents of a config: the port `sessions.start.Agents`."""

    config: Config

    def profile(self, agent: str | None) -> Profile:
        """The profile of a named agent, or what runs without a name."""
        return profile_for(self.config, agent)

    @property
    def names(self) -> Sequence[str]:
        """The agents that have one."""
        return list(self.config.agents)

    @property
    def models(self) -> Sequence[str]:
        """The names under `models`, and the default."""
        default = self.config.defaults.model
        return [*self.config.models, *([default] if default else [])]

    @property
    def any_model(self) -> bool:
        """`defaults.allow_any_model`."""
        return self.config.defaults.allow_any_model


@dataclass(frozen=True, slots=True)
class App:
    """Everything that runs, put together."""

    config: Config
    store: SessionStore
    hub: Hub
    models: ModelCatalog
    service: SessionService
    dispatcher: Dispatcher
    feed: LiveFeed
    server: McpServer
    telemetry: Telemetry
    waits: Waits
    """To be ended before the app is, so that those who wait get an answer."""


@asynccontextmanager
async def open_app(
    config: Config, environ: Mapping[str, str] | None = None, *, works: bool = True
) -> AsyncGenerator[App]:
    """The whole application, running until the context ends; ending it leaves turns to go on at the next start.

    Without `works` it runs no turns and leaves them to others, where the store is PostgreSQL.

    Raises:
        ConfigError: what the store needs is not installed.
        StoreError: the session store cannot be opened.
    """
    environ = os.environ if environ is None else environ
    async with AsyncExitStack() as stack:
        parts = await _open_parts(config, environ, stack)
        background = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(background.cancel_scope.cancel)
        dispatcher = await stack.enter_async_context(_dispatcher(parts, works=works))
        service = _service(parts, environ, dispatcher)
        server = _server(parts, environ, service, background)
        retention = config.retention
        keeper = Housekeeper(parts.store, parts.clock, days=retention.days, sessions=retention.sessions)
        background.start_soon(keeper.run_forever)
        background.start_soon(parts.telemetry.count_queue, parts.store)
        yield App(
            config,
            parts.store,
            parts.hub,
            parts.models,
            service,
            dispatcher,
            parts.feed,
            server,
            parts.telemetry,
            parts.waits,
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What everything else is put together from."""

    config: Config
    url: str
    opened: SessionStore
    """As the address gave it; `store` may have somebody in front who counts."""
    store: SessionStore
    telemetry: Telemetry
    models: ModelCatalog
    hub: Hub
    logs: SessionLogs
    budgets: Budgets
    clock: SystemClock
    feed: LiveFeed
    waits: Waits


async def _open_parts(config: Config, environ: Mapping[str, str], stack: AsyncExitStack) -> _Parts:
    clock, url = SystemClock(), config.store or default_store_url(environ)
    opened = await stack.enter_async_context(open_store(url, clock=clock, settings=config.server.worker))
    telemetry = await stack.enter_async_context(open_telemetry(environ, metrics=config.server.metrics))
    store = telemetry.watched(opened)
    models = ModelCatalog(config.models, environ)
    stack.push_async_callback(models.aclose)
    secrets = declared_secrets(config, environ)
    opening = open_hub(
        config.servers,
        config.unavailable,
        environ,
        secrets=secrets,
        max_children=config.server.max_children,
    )
    return _Parts(
        config=config,
        url=url,
        opened=opened,
        store=store,
        telemetry=telemetry,
        models=models,
        hub=await stack.enter_async_context(opening),
        logs=SessionLogs(store, hide=Blot(secrets)),
        budgets=Budgets(store, clock, to_budget(config.server.limits.budget)),
        clock=clock,
        feed=LiveFeed(),
        waits=Waits(),
    )


def _service(parts: _Parts, environ: Mapping[str, str], dispatcher: Dispatcher) -> SessionService:
    settings = parts.config.server
    return SessionService(
        store=parts.store,
        logs=parts.logs,
        agents=ConfiguredAgents(parts.config),
        models=parts.models,
        tools=parts.hub,
        dispatcher=dispatcher,
        clock=parts.clock,
        budgets=parts.budgets,
        waits=parts.waits,
        limits=ServiceLimits(
            depth=depth_of(environ),
            running_turns=settings.max_running_turns,
            running_turns_each=settings.limits.running_turns,
            sessions_each=settings.limits.sessions,
            stored_sessions=settings.max_sessions,
            store_bytes=settings.max_store_bytes,
        ),
    )


def _server(
    parts: _Parts, environ: Mapping[str, str], service: SessionService, background: TaskGroup
) -> McpServer:
    config = parts.config
    server = build_server(
        PublishedTools(service, feed=parts.feed, clock=parts.clock, waits=parts.waits),
        settings=config.server,
        state_keys=state_keys(config.server, environ),
        agents={name: agent.description for name, agent in config.agents.items()},
        notify=DesktopNotifier().tell,
        listed=_Preload(parts.models, config.defaults.model, background).begin,
    )
    cards = AgentCards(ConfiguredAgents(config), parts.hub)
    publish(server, service, cards, outside=config.server.approvals == "outside")
    return server


def _runner(parts: _Parts) -> TurnRunner:
    return TurnRunner(
        store=parts.store,
        logs=parts.logs,
        models=parts.models,
        tools=parts.hub,
        clock=parts.clock,
        feed=parts.feed,
        budgets=parts.budgets,
        pins=PinBook(parts.store, identity_of(parts.config.path)),
        observer=parts.telemetry.observer,
    )


def _dispatcher(parts: _Parts, *, works: bool) -> AbstractAsyncContextManager[Dispatcher]:
    runner = _runner(parts)
    if not is_postgres(parts.url):
        return open_dispatcher(parts.store, runner.run)
    try:
        # Here and not above: who has a file needs no queue, and it would cost each start 0.3 s.
        from agent_mcp.dispatch.procrastinate import TurnStore, open_queue_dispatcher
    except ImportError as error:
        problem = f"a store in PostgreSQL needs a queue: {error}"
        raise ConfigError("store", problem, hint="pip install 'agent-mcp[postgres]'") from error
    # `open_store` has given it for this same address.
    turns = cast("TurnStore", parts.opened)
    settings = parts.config.server.worker
    return open_queue_dispatcher(parts.url, turns, runner.run, settings=settings, works=works)


class _Preload:
    """Imports the SDK that the first turn will need, once the host has its tool list and nothing waits for us."""

    def __init__(self, models: ModelCatalog, reference: str | None, group: TaskGroup) -> None:
        self._models = models
        self._reference = reference or models.default_reference()
        self._group = group
        self._begun = False

    def begin(self) -> None:
        """Begin in the background; only once."""
        if not self._begun:
            self._begun = True
            self._group.start_soon(self._load)

    async def _load(self) -> None:
        try:
            await self._models.preload(self._reference)
        except PublicError as error:
            log.info("no model could be made ready: %s", error)
