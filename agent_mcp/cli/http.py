"""Serving over streamable HTTP: our MCP server behind uvicorn, on this machine only."""

import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import uvicorn

from agent_mcp.bootstrap import App, open_app
from agent_mcp.config.schema import Config
from agent_mcp.errors import AgentMcpError, ConfigError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_BODY_BYTES = 64 * 1024 * 1024
"""Far above the longest message that is taken, so that a too long one is refused by us, with an answer."""
_GRACE_SECONDS = 1
"""How long requests may go on after a signal. Turns are not lost with them."""


def check_host(host: str) -> None:
    """Refuse addresses that others can reach: there is no authentication.

    Raises:
        ConfigError: the address is not of this machine's loopback.
    """
    if host not in _LOOPBACK:
        hint = "use 127.0.0.1, and a proxy with authentication in front of it"
        raise ConfigError("--host", f"{host} can be reached from other machines", hint=hint)


async def serve_http(config: Config, host: str, port: int) -> int:
    """Serve at `http://host:port/mcp` until cancelled; port 0 takes a free one and says which."""
    listener = _listen(host, port)
    async with open_app(config, os.environ) as app, anyio.create_task_group() as tasks:
        server = _Uvicorn(_uvicorn_config(app, host))
        tasks.start_soon(server.serve, [listener])
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}/mcp"
        print(f"agent-mcp: listening on {address}", file=sys.stderr, flush=True)
        try:
            await anyio.sleep_forever()
        finally:
            server.should_exit = True
            # Shielded: uvicorn's task must see the flag and close its connections before the app goes.
            with anyio.move_on_after(_GRACE_SECONDS + 0.3, shield=True):
                await server.ended.wait()
            tasks.cancel_scope.cancel()
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise AgentMcpError(
            f"can't listen on {host}:{port}: {error.strerror} (choose another --port)"
        ) from error


def _uvicorn_config(app: App, host: str) -> uvicorn.Config:
    asgi = app.server.streamable_http_app(host=host, max_request_body_size=_MAX_BODY_BYTES)
    return uvicorn.Config(asgi, log_config=None, timeout_graceful_shutdown=_GRACE_SECONDS)


class _Uvicorn(uvicorn.Server):
    """Leaves signals to `lifetime`, and says when it has ended."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = anyio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            self.ended.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
