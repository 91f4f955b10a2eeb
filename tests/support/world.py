"""A whole service without a network: the real store, runner and dispatcher, around a planned model and tools that
are Python functions. For tests of what the use cases mean; the adapters have tests of their own.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import Reply, ReplyStop, Text, ToolCall, ToolResult, Usage, new_call_id
from agent_mcp.agent.ports import Model, ModelRequest
from agent_mcp.agent.tools import Tool
from agent_mcp.config.schema import WorkerSettings
from agent_mcp.dispatch.local import Run, open_dispatcher
from agent_mcp.errors import AgentNotFoundError, MissingApiKeyError
from agent_mcp.sessions.live import LiveFeed
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.meter import Budgets
from agent_mcp.sessions.observing import TurnObserver
from agent_mcp.sessions.offers import Offer
from agent_mcp.sessions.pinning import PinBook
from agent_mcp.sessions.ports import Dispatcher, SessionStore
from agent_mcp.sessions.profile import Budget, Profile
from agent_mcp.sessions.room import ServiceLimits
from agent_mcp.sessions.runner import TurnRunner
from agent_mcp.sessions.service import SessionService
from agent_mcp.sessions.tool_ports import ServerStatus, ToolScope
from agent_mcp.sessions.waiting import Waits
from agent_mcp.store.open import open_store

Plan = Reply | Exception | Callable[[ModelRequest], Awaitable[Reply]]


def says(text: str, *, stop: ReplyStop = "end_turn", usage: Usage | None = None) -> Reply:
    """A reply of text alone."""
    return Reply((Text(text),), stop, usage or Usage(10, 5))


def calls(*wanted: tuple[str, Mapping[str, Any]], text: str = "", usage: Usage | None = None) -> Reply:
    """A reply that calls tools."""
    parts = [
        ToolCall(new_call_id(), name, dict(arguments), provider_id=f"p{i}")
        for i, (name, arguments) in enumerate(wanted)
    ]
    return Reply((*([Text(text)] if text else []), *parts), "tool_use", usage or Usage(10, 5))


class PlannedModel:
    """Gives the replies of a plan, by the number of replies in the history; after the last one, that one again."""

    wire = "planned"
    name = "plan"

    def __init__(self, plan: Sequence[Plan]) -> None:
        self.plan = list(plan)
        self.requests: list[ModelRequest] = []

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """The planned reply, with call ids of its own."""
        self.requests.append(replace(request, history=list(request.history)))
        step = sum(isinstance(message, Reply) for message in request.history)
        planned = self.plan[min(step, len(self.plan) - 1)]
        if isinstance(planned, Exception):
            raise planned
        reply = planned if isinstance(planned, Reply) else await planned(request)
        parts = tuple(replace(p, id=new_call_id()) if isinstance(p, ToolCall) else p for p in reply.parts)
        return Reply(parts, reply.stop, reply.usage, self.wire, self.name)


class PlannedModels:
    """The port `ModelSource` over planned models."""

    def __init__(self, **models: PlannedModel) -> None:
        self.models = models

    def default_reference(self) -> str:
        """The model `plan`."""
        return "plan"

    async def resolve(self, reference: str) -> str:
        """Every reference names its model."""
        return reference

    priced = True

    async def has_price(self, reference: str) -> bool:
        """As a test says."""
        return self.priced

    def open_model(self, reference: str) -> Model:
        """A planned model; any other name has no key."""
        if reference not in self.models:
            raise MissingApiKeyError(f"{reference} needs a key.")
        return self.models[reference]


Function = Callable[[dict[str, Any]], Awaitable[str | ToolResult]]


@dataclass
class FunctionTools:
    """The port `ToolSource`: tools that are functions, on a server named `t`."""

    functions: dict[str, Function] = field(default_factory=dict[str, Function])
    flags: dict[str, dict[str, bool]] = field(default_factory=dict[str, dict[str, bool]])
    down: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    restarts: list[str] = field(default_factory=list[str])
    released: list[str] = field(default_factory=list[str])
    called: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])

    @property
    def tools(self) -> tuple[Tool, ...]:
        """As shown."""
        return tuple(
            Tool(f"t__{name}", name, {"type": "object"}, "t", name, **self.flags.get(name, {}))
            for name in self.functions
        )

    @property
    def warnings(self) -> Sequence[str]:
        """Servers said to be down."""
        return self.down

    offers: list[Offer] = field(default_factory=list[Offer])

    def restarted(self) -> Sequence[str]:
        """Servers said to be restarted, once."""
        names, self.restarts = self.restarts, []
        return names

    async def open_toolbox(self, scope: ToolScope) -> "FunctionTools":
        """These tools, for every scope."""
        return self

    def status(self, servers: Sequence[str]) -> Sequence[ServerStatus]:
        """One server."""
        return [ServerStatus("t", connected=True, tools=len(self.functions))]

    async def release(self, session_id: str) -> None:
        """Noted."""
        self.released.append(session_id)

    async def call(self, call: ToolCall) -> ToolResult:
        """Run the function; text becomes a result."""
        function = self.functions.get(call.name.removeprefix("t__"))
        if function is None:
            return ToolResult.failure(call, "TOOL_NOT_FOUND", f"no tool {call.name}.")
        self.called.append((call.name, call.arguments or {}))
        began = time.monotonic()
        answer = await function(call.arguments or {})
        took = round((time.monotonic() - began) * 1000)
        if isinstance(answer, ToolResult):
            return replace(answer, call_id=call.id)
        return ToolResult(
            call.id, (Text(answer),) if answer else (), duration_ms=took, provider_id=call.provider_id
        )


@dataclass
class TestClock:
    """The real clock, which a test may move ahead."""

    __test__ = False
    ahead_seconds: float = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead_seconds

    def monotonic(self) -> float:
        """Seconds from some fixed point."""
        return time.monotonic()


@dataclass
class OneAgent:
    """The port `Agents` with one profile."""

    base: Profile

    def profile(self, agent: str | None) -> Profile:
        """The profile."""
        if agent not in (None, self.base.agent):
            raise AgentNotFoundError(f"No agent {agent!r}.")
        return self.base

    models = ("plan", "other")
    any_model = False


@dataclass
class World:
    """A running service and its parts."""

    service: SessionService
    store: SessionStore
    logs: SessionLogs
    dispatcher: Dispatcher
    feed: LiveFeed
    model: PlannedModel
    models: PlannedModels
    tools: FunctionTools
    clock: TestClock
    waits: Waits


Dispatching = Callable[[SessionStore, Run], AbstractAsyncContextManager[Dispatcher]]


@asynccontextmanager
async def open_world(
    folder: Path,
    *plan: Plan,
    profile: Profile | None = None,
    tools: FunctionTools | None = None,
    limits: ServiceLimits | None = None,
    each: Budget | None = None,
    store_url: str | None = None,
    through: Callable[[SessionStore], SessionStore] = lambda store: store,
    observer: TurnObserver | None = None,
    dispatching: Dispatching = open_dispatcher,
    settings: WorkerSettings | None = None,
) -> AsyncGenerator[World]:
    """A service on a store in `folder`, or at `store_url`; a second one on the same store is a second process in all
    but name. `through` may put something between the store and all who use it; `dispatching` says who runs turns."""
    clock, feed, model = TestClock(), LiveFeed(), PlannedModel(plan or [says("hello")])
    waits = Waits()
    models, hub = PlannedModels(plan=model), tools or FunctionTools()
    url = store_url or f"sqlite:///{folder / 'sessions.db'}"
    async with open_store(url, clock=clock, settings=settings) as opened:
        store = through(opened)
        logs, budgets = SessionLogs(store), Budgets(store, clock, each)
        runner = TurnRunner(
            store=store,
            logs=logs,
            models=models,
            tools=hub,
            clock=clock,
            feed=feed,
            budgets=budgets,
            pins=PinBook(store, "config.json"),
            observer=observer,
        )
        async with dispatching(store, runner.run) as dispatcher:
            service = SessionService(
                store=store,
                logs=logs,
                agents=OneAgent(profile or Profile(agent="a", model="plan", servers=("t",))),
                models=models,
                tools=hub,
                dispatcher=dispatcher,
                clock=clock,
                limits=limits,
                budgets=budgets,
                waits=waits,
            )
            yield World(service, store, logs, dispatcher, feed, model, models, hub, clock, waits)


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; the caller bounds the wait."""
    while not condition():
        await anyio.sleep(0.005)
