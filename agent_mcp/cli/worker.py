"""`agent-mcp serve --role worker`: runs turns that others queue, and serves no host."""

import os
import socket
import sys

import anyio

from agent_mcp.bootstrap import open_app
from agent_mcp.config.schema import Config
from agent_mcp.server.health import PATH, serve_health


async def run_worker(config: Config, listener: socket.socket | None) -> int:
    """Work until cancelled; with a `listener`, also say there over HTTP that we live."""
    async with open_app(config, os.environ):
        if listener is None:
            await anyio.sleep_forever()
        else:
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"agent-mcp: working; health at http://{shown}:{port}{PATH}", file=sys.stderr, flush=True)
            await serve_health(listener)
    return 0
