"""`agent-mcp login SERVER` and `logout SERVER`: a person logs in to a server behind HTTP, in a browser.

A turn has no browser, so a server that wants a login is down until this was run; what it keeps, every process on this
machine under this user finds.
"""

import os
import webbrowser
from argparse import Namespace
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from anyio.to_thread import run_sync

from agent_mcp.cli.lifetime import run_to_end
from agent_mcp.cli.startup import configure
from agent_mcp.config.schema import Config
from agent_mcp.config.spelling import did_you_mean
from agent_mcp.downstream.access import Access
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.guarded import access_of
from agent_mcp.downstream.hub import ServerReport, open_hub
from agent_mcp.downstream.login import Show, log_in, log_out
from agent_mcp.errors import ConfigError, ServerUnavailableError

_PATIENCE_SECONDS = 600.0
"""For a person with a browser, who may have to look for a password."""


def run(options: Namespace) -> int:
    """Log in or out.

    Raises:
        ConfigError: the config is wrong, or has no such server.
        PublicError: there is no login.
    """
    config = configure(options)
    access = _access(config, options.server)
    work = _out if options.command == "logout" else partial(_in, config, no_browser=options.no_browser)
    return run_to_end(partial(_told, partial(work, access)))


def _access(config: Config, name: str) -> Access:
    place = config.path or "config"
    entry = config.servers.get(name)
    if entry is None:
        if why := config.unavailable.get(name) or ("it is disabled" if name in config.disabled else ""):
            raise ConfigError(f"{place}: mcpServers.{name}", f"can't be used: {why}")
        raise ConfigError(place, f"has no server {name!r}", hint=did_you_mean(name, config.servers))
    access = access_of(name, entry)
    if access is not None:
        return access
    if entry.url is None:
        raise ConfigError(f"{place}: mcpServers.{name}", "is a program; only servers behind HTTP have logins")
    problem = "says in `headers` who we are, and that is what the server is shown"
    raise ConfigError(f"{place}: mcpServers.{name}", problem, hint="take `Authorization` out of it")


async def _told(work: Callable[[], Awaitable[int]]) -> int:
    try:
        return await work()
    except UnavailableError as error:
        raise ServerUnavailableError(str(error)) from error


async def _in(config: Config, access: Access, *, no_browser: bool) -> int:
    name = access.server
    if access.is_machine:
        print(f"{name} needs nobody: the grant of its `oauth` is client_credentials")
        return 0
    record = await access.vault().read()
    if record.challenge is None:
        # It says what it wants only when it is asked for something.
        report = await _report(config, name)
        if report.error is None:
            said = "logged in already" if record.tokens else "wants no login"
            print(f"{name}: {said}; {len(report.tools)} tools")
            return 0
        if access.way_out not in report.error:
            raise UnavailableError(f"{name}: {report.error}")
    await log_in(access, _show(name, no_browser=no_browser), patience_seconds=_PATIENCE_SECONDS)
    report = await _report(config, name)
    if report.error is not None:
        raise UnavailableError(f"{name}: logged in, but {report.error}")
    print(f"{name}: logged in; {len(report.tools)} tools")
    return 0


async def _out(access: Access) -> int:
    had_one = await log_out(access)
    print(f"{access.server}: {'logged out' if had_one else 'there was no login'}")
    return 0


async def _report(config: Config, name: str) -> ServerReport:
    async with open_hub({name: config.servers[name]}, {}, os.environ) as hub:
        return await hub.inspect(name)


def _show(name: str, *, no_browser: bool) -> Show:
    async def show(url: str) -> None:
        print(f"To log in to {name}, open\n\n  {url}\n\nand come back here; waiting ...", flush=True)
        if not no_browser:
            # In a thread: it starts a program, and waits for some.
            with suppress(webbrowser.Error):
                await run_sync(webbrowser.open, url, abandon_on_cancel=True)

    return show
