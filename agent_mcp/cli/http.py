"""Serving over streamable HTTP: the address, who may reach it, and what is said on stderr."""

import os
import socket
import sys

from agent_mcp.bootstrap import SystemClock, open_app
from agent_mcp.config.schema import Config
from agent_mcp.config.serving import missing_variables, resource_url, state_keys
from agent_mcp.errors import AgentMcpError, ConfigError
from agent_mcp.server.guards import is_loopback
from agent_mcp.server.http import PATH, HttpServer
from agent_mcp.server.looking import Looking

_BACKLOG = 2048
_EVERY_ADDRESS = ("0.0.0.0", "::", "")


def check_serving(config: Config, host: str) -> None:
    """Refuse to serve where others could come in who should not.

    Raises:
        ConfigError: the address can be reached from other machines and nobody is asked for a token, or its names
            are not known; or a variable with a token or key is not set.
    """
    settings, file = config.server, config.path or "config"
    for missing in missing_variables(settings, os.environ):
        raise ConfigError(f"{file}: server.{missing.key}", missing.problem, hint=missing.hint)
    if is_loopback(host):
        return
    if not settings.tokens and settings.oauth is None:
        problem = f"{host} can be reached from other machines, and there is no authentication"
        raise ConfigError("--host", problem, hint="give server.tokens or server.oauth, or use 127.0.0.1")
    named = settings.allowed_hosts or (settings.oauth and resource_url(settings.oauth))
    if host in _EVERY_ADDRESS and not named:
        problem = f"is needed with --host {host}: a request must say whom it means"
        raise ConfigError(f"{file}: server.allowed_hosts", problem, hint='write ["mcp.example.org"]')


async def serve_http(config: Config, host: str, port: int, *, works: bool = True) -> int:
    """Serve at `http://host:port/mcp` until cancelled; port 0 takes a free one and says which."""
    listener = listen(host, port)
    async with open_app(config, os.environ, works=works) as app:
        keys = state_keys(config.server, os.environ)
        looking = Looking(app.telemetry.around_http, app.telemetry.page)
        server = HttpServer(app.server, config.server, keys, SystemClock(), looking, app.waits)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}{PATH}"
        print(f"agent-mcp: listening on {address}", file=sys.stderr, flush=True)
        await server.serve(listener, host=host)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 takes a free one.

    Raises:
        AgentMcpError: the address can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise AgentMcpError(
            f"can't listen on {host}:{port}: {error.strerror} (choose another --port)"
        ) from error
