"""From an entry of `mcpServers` to something that opens connections to that server."""

import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent_mcp.config.blot import Blot, Hide
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.blotting import BlottedWire
from agent_mcp.downstream.commands import locate, this_machine, with_folder_first
from agent_mcp.downstream.environment import child_environment
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.handshake import Era
from agent_mcp.downstream.stdio import Launch, open_stdio
from agent_mcp.downstream.wire import Wire


class Target(Protocol):
    """A server that can be connected to, again and again."""

    @property
    def era(self) -> Era:
        """Which protocol era it is said to speak."""
        ...

    @property
    def is_process(self) -> bool:
        """Whether each connection starts a process of its own, whose memory ends with it."""
        ...

    def open(self) -> AbstractAsyncContextManager[Wire]:
        """A new connection; entering it raises `UnavailableError` or whatever the transport raises."""
        ...


@dataclass(frozen=True, slots=True)
class Discretion:
    """What must not come back from a server."""

    hide: Hide
    """For what it says beside the protocol: its stderr, its refusals."""
    blot: Blot
    """For its messages, which a model reads: a plain word stays there."""


def to_target(name: str, entry: ServerEntry, environ: Mapping[str, str], *, discretion: Discretion) -> Target:
    """The target of the config entry `name`; `environ` is our own environment."""
    if entry.url is not None and entry.type != "stdio":
        return _UrlTarget(name, entry, discretion)
    return _StdioTarget(entry, environ, discretion)


class _UrlTarget:
    is_process = False

    def __init__(self, name: str, entry: ServerEntry, discretion: Discretion) -> None:
        self._name = name
        self._entry = entry
        self._discretion = discretion
        # The older transport was gone before the newer era came: probing for it would only cost time.
        self.era: Era = "legacy" if entry.type == "sse" else entry.era

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Wire]:
        # Late, so that who has no HTTP server does not pay for HTTP.
        from agent_mcp.downstream.bearer import Bearer
        from agent_mcp.downstream.guarded import access_of
        from agent_mcp.downstream.http import open_http, open_sse

        entry, blot = self._entry, self._discretion.blot
        access = access_of(self._name, entry)
        opener = open_sse if entry.type == "sse" else open_http
        async with opener(
            entry.url or "",
            entry.headers,
            hide=lambda text: blot(self._discretion.hide(text)),
            allow_link_local=entry.allow_link_local,
            bearer=None if access is None else Bearer(access, blot.learn),
        ) as wire:
            yield BlottedWire(wire, blot)


class _StdioTarget:
    is_process = True

    def __init__(self, entry: ServerEntry, environ: Mapping[str, str], discretion: Discretion) -> None:
        self._entry = entry
        self._discretion = discretion
        self._environ = environ
        self.era: Era = entry.era

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Wire]:
        launch = await self._launch()
        if sys.platform == "win32":
            from agent_mcp.downstream.streams import open_windows_stdio

            async with open_windows_stdio(launch) as wire:
                yield BlottedWire(wire, self._discretion.blot)
        else:
            async with open_stdio(launch) as wire:
                yield BlottedWire(wire, self._discretion.blot)

    async def _launch(self) -> Launch:
        entry = self._entry
        if not entry.command:
            raise UnavailableError("its entry has neither `command` nor `url`")
        env = child_environment(
            self._environ, inherit=entry.inherit_env, own=entry.env, platform=sys.platform
        )
        folder = _working_directory(entry.cwd)
        found = await locate(this_machine(sys.platform), entry.command, env=env, cwd=str(folder))
        env = with_folder_first(env, found.path, platform=sys.platform)
        return Launch(found.argv(entry.args), env, str(folder), self._discretion.hide)


def _working_directory(cwd: str | None) -> Path:
    folder = Path(cwd).expanduser().absolute() if cwd else Path.cwd()
    if not folder.is_dir():
        raise UnavailableError(f"its working directory {folder} does not exist")
    return folder
