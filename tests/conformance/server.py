"""Our server with the suite's fixtures, over HTTP as `agent-mcp serve` serves it.

`python -m tests.conformance.server DIR` prints its address and serves until it is killed; its store lies in DIR.
"""

import socket
import sys
import warnings
from pathlib import Path

import anyio
from mcp.shared.exceptions import MCPDeprecationWarning

from agent_mcp.bootstrap import SystemClock, open_app
from agent_mcp.config.schema import Config
from agent_mcp.server.http import PATH, HttpServer
from tests.conformance.fixtures import add_fixtures
from tests.conformance.turns import AGENTS, SERVERS, failing_model

HOST = "127.0.0.1"


async def main(folder: Path) -> None:
    """Serve on a free port."""
    # The fixtures use what the newer revision deprecates, because the suite for the older one demands it.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    store, models = f"sqlite:///{folder / 'sessions.db'}", {"failing": failing_model(folder)}
    config = Config(store=store, models=models, servers=SERVERS, agents=AGENTS)
    with socket.create_server((HOST, 0), backlog=128) as listener:
        async with open_app(config, {}) as app:
            add_fixtures(app.server)
            print(f"http://{HOST}:{listener.getsockname()[1]}{PATH}", flush=True)
            await HttpServer(app.server, config.server, (), SystemClock()).serve(listener, host=HOST)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
