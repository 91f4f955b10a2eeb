"""`agent-mcp serve`: the MCP server over stdio or HTTP, until the host ends it or a signal comes.

Its imports stand where they are needed: what an import prints must not reach the host, so stdout is claimed first.
"""

import gc
import os
import sys
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING

from agent_mcp.cli.descriptors import Wire, claim_wire

_FOR_PEOPLE = (
    "agent-mcp: this is an MCP server and waits for a host on stdin; "
    "`agent-mcp demo` shows it at work, `agent-mcp doctor` checks the set-up, Ctrl-C ends it"
)

if TYPE_CHECKING:
    from agent_mcp.config.schema import Config


def run(options: Namespace) -> int:
    """Serve; 0 at the end of stdin, 128 + n after signal n.

    Raises:
        ConfigError: the config is wrong.
    """
    if options.role == "worker":
        return _run_worker(options)
    return _run_http(options) if options.transport == "http" else _run_stdio(options)


def _run_stdio(options: Namespace) -> int:
    if os.isatty(0):
        sys.stderr.write(f"{_FOR_PEOPLE}\n")
    wire = claim_wire()
    # What is imported is never garbage, and looking for some in it would be a tenth of the way to the first answer.
    gc.disable()
    from agent_mcp.cli.lifetime import run_to_end
    from agent_mcp.cli.open_files import raise_limit
    from agent_mcp.cli.startup import check_role, configure, log_problems

    config = configure(options)
    check_role(config, options.role)
    log_problems(config)
    raise_limit(config, http=False)
    return run_to_end(partial(_serve_stdio, wire, config, works=options.role != "server"), with_parent=True)


async def _serve_stdio(wire: Wire, config: "Config", *, works: bool) -> int:
    from agent_mcp.bootstrap import open_app
    from agent_mcp.cli.lifetime import end_soon
    from agent_mcp.cli.wire import open_wire

    ended = partial(end_soon, 0)
    async with (
        open_app(config, os.environ, works=works) as app,
        open_wire(wire, ended=ended) as (incoming, outgoing),
    ):
        gc.freeze()
        gc.enable()
        await app.server.run(incoming, outgoing, app.server.create_initialization_options())
    return 0


def _run_http(options: Namespace) -> int:
    from agent_mcp.cli.http import check_serving, serve_http
    from agent_mcp.cli.lifetime import run_to_end
    from agent_mcp.cli.open_files import raise_limit
    from agent_mcp.cli.startup import check_role, configure, log_problems

    config = configure(options)
    check_role(config, options.role)
    check_serving(config, options.host)
    log_problems(config)
    raise_limit(config, http=True)
    works = options.role != "server"
    return run_to_end(partial(serve_http, config, options.host, options.port, works=works))


def _run_worker(options: Namespace) -> int:
    from agent_mcp.cli.http import listen
    from agent_mcp.cli.lifetime import run_to_end
    from agent_mcp.cli.open_files import raise_limit
    from agent_mcp.cli.startup import check_role, configure, log_problems
    from agent_mcp.cli.worker import run_worker

    config = configure(options)
    check_role(config, options.role)
    log_problems(config)
    raise_limit(config, http=False)
    listener = listen(options.host, options.port) if options.transport == "http" else None
    return run_to_end(partial(run_worker, config, listener))
