"""Brings in an SDK when the first reply needs it, in a thread: importing one takes up to two seconds.

An adapter module imports its SDK plainly at its top, and is itself imported only here. One client per provider,
address and key, shared by all sessions: each costs some 20 ms for its TLS context.
"""

import functools
import importlib
from dataclasses import replace
from typing import Any, Protocol, cast

import anyio
from anyio import to_thread

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import Reply
from agent_mcp.agent.ports import Model, ModelRequest
from agent_mcp.models.target import WIRES, ApiProvider, Target

_MODULES: dict[ApiProvider, str] = {
    "anthropic": "agent_mcp.models.anthropic",
    "openai": "agent_mcp.models.openai_responses",
    "openai-chat": "agent_mcp.models.openai_chat",
}
_LISTING = "agent_mcp.models.listing"


class _Client(Protocol):
    async def aclose(self) -> None: ...


class _Adapter(Protocol):
    """What every adapter module offers."""

    def open_client(self, target: Target, read_timeout_seconds: float) -> _Client: ...

    def make_model(self, client: Any, target: Target) -> Model: ...


class AdapterLoader:
    """All SDK clients of this process."""

    def __init__(self, *, read_timeout_seconds: float) -> None:
        self._read_timeout_seconds = read_timeout_seconds
        self._lock = anyio.Lock()
        self._clients: dict[tuple[object, ...], _Client] = {}

    async def load(self, target: Target) -> Model:
        """The target's adapter, with its SDK imported and its client made."""
        adapter = cast(_Adapter, await _import(_MODULES[target.provider]))
        async with self._lock:
            client = self._clients.get(target.connection_key)
            if client is None:
                make = functools.partial(adapter.open_client, target, self._read_timeout_seconds)
                client = self._clients[target.connection_key] = await to_thread.run_sync(make)
        return adapter.make_model(client, target)

    async def named(self, target: Target) -> Target:
        """The target with a model's name: where it has none, the first that its address lists.

        Raises:
            TransientModelError: the address did not answer, or lists none.
        """
        if target.model:
            return target
        listing = await _import(_LISTING)
        return replace(target, model=await listing.first_model(target))

    async def aclose(self) -> None:
        """Close every client."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.aclose()


class LazyModel:
    """A model whose adapter is loaded with its first reply."""

    def __init__(self, target: Target, loader: AdapterLoader) -> None:
        self._target = target
        self._loader = loader
        self._model: Model | None = None

    @property
    def wire(self) -> str:
        """Known from the reference alone."""
        return WIRES[self._target.provider]

    @property
    def name(self) -> str:
        """Empty until the first reply if the address is to choose the model."""
        return self._target.model

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port."""
        if self._model is None:
            self._target = await self._loader.named(self._target)
            self._model = await self._loader.load(self._target)
        return await self._model.reply(request, emit)


async def _import(name: str) -> Any:
    return await to_thread.run_sync(importlib.import_module, name)
