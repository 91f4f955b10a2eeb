"""`agent-mcp doctor`: checks config, model keys, servers and store, and says of each finding how to mend it.

Starts every server once and takes no turn over. Its checks never raise for what they find.
"""

import os
import platform
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from agent_mcp import version
from agent_mcp.cli.agent_checks import check_agents
from agent_mcp.cli.bare_checks import check_bare
from agent_mcp.cli.findings import Finding, as_json, as_text, has_failed
from agent_mcp.cli.host_entry import check_host_entry, environ_of_host
from agent_mcp.cli.lifetime import run_to_end
from agent_mcp.cli.model_checks import NOT_SEEN, check_models
from agent_mcp.cli.pins import check_pins
from agent_mcp.cli.safety_checks import check_safety, check_store_file
from agent_mcp.cli.startup import configure
from agent_mcp.cli.terminal import counted
from agent_mcp.config.load import load_config
from agent_mcp.config.paths import user_config_file
from agent_mcp.config.roots import root_path
from agent_mcp.config.schema import Config, ServerEntry, ServerSettings
from agent_mcp.config.secrets import declared_secrets
from agent_mcp.downstream.guarded import access_of
from agent_mcp.downstream.hub import Hub, ServerReport, open_hub
from agent_mcp.errors import ConfigError, PublicError
from agent_mcp.models.target import shown_url
from agent_mcp.store.open import check_store, default_store_url, open_store, store_file
from agent_mcp.store.open import shown_url as shown_store

_BYTES_PER_TOKEN = 4
"""A rule of thumb for JSON in English; providers count differently."""
_MANY_TOKENS = 20_000
"""From here on tool definitions crowd out the work."""
_MEND = "mend it in the file, at each key that is named"
"""Where the problem itself says what should stand there."""


def run(options: Namespace) -> int:
    """Print the findings; 1 if something does not work, 2 if the config is wrong."""
    findings = [Finding("OK", "agent-mcp", f"{version()}, Python {platform.python_version()}")]
    try:
        config, environ = _read(options)
    except ConfigError as error:
        fix = error.hint or _MEND
        findings.append(Finding("FAIL", "config", f"{error.place}: {error.problem}", fix))
        _print(findings, options)
        return 2
    return run_to_end(partial(_check, config, environ, findings=findings, options=options))


def _read(options: Namespace) -> tuple[Config, Mapping[str, str]]:
    """The config and the environment that the server has when its host starts it, as far as we know that.

    Raises:
        ConfigError: the config is wrong.
    """
    config = configure(options)
    environ = environ_of_host(config, os.environ)
    return (config if environ is os.environ else load_config(config.path, environ)), environ


def _print(findings: Sequence[Finding], options: Namespace) -> None:
    print(as_json(findings) if options.json else as_text(findings), flush=True)


async def _check(
    config: Config, environ: Mapping[str, str], *, findings: list[Finding], options: Namespace
) -> int:
    findings += _check_config(config)
    findings += check_host_entry(config, environ)
    findings += _check_serving(config.server)
    findings += check_safety(config)
    findings += await check_models(config, environ)
    reports = await _reports(config, environ)
    findings += [
        finding for name, entry in config.servers.items() for finding in _of_server(entry, reports[name])
    ]
    started = [name for name in config.servers if reports[name].error is None]
    findings += await check_bare(config, environ, started)
    findings += check_agents(config, reports, named=options.agent, whole=options.json)
    findings.append(await _check_store(config, environ))
    if file := store_file(config.store or default_store_url(environ)):
        findings += check_store_file(file)
    findings += await check_pins(config, environ, reports)
    _print(findings, options)
    return int(has_failed(findings))


def _check_config(config: Config) -> Iterator[Finding]:
    if config.path is None:
        fix = f"write {user_config_file(os.environ)}, or name a file with --config"
        yield Finding("WARN", "config", f"no config file: sessions have no tools ({NOT_SEEN})", fix)
        return
    servers = counted(len(config.servers) + len(config.unavailable), "server")
    yield Finding("OK", "config", f"{config.path}: {servers}, {counted(len(config.agents), 'agent')}")
    for problem in config.problems:
        level = "FAIL" if problem.server else "WARN"
        yield Finding(level, "config", f"{problem.place}: {problem.message}", problem.hint or _MEND)
    if config.ignored_keys:
        message = f"keys of other programs are not read: {', '.join(config.ignored_keys)}"
        yield Finding("OK", "config", message)
    for name in config.disabled:
        yield Finding("OK", f"server {name}", "disabled in the config")


def _check_serving(settings: ServerSettings) -> Iterator[Finding]:
    """Who may come over HTTP; variables that are not set were found with the config."""
    there = {entry.name for entry in settings.tokens if entry.token_sha256 is not None}
    ways = [f"the token of {name}" for name in sorted(there)]
    if settings.oauth is not None:
        ways.append(f"tokens of {settings.oauth.issuer} for {settings.oauth.audience}")
    if ways:
        yield Finding("OK", "http", f"taken are {', '.join(ways)}")
    if ways and not settings.state_key_env:
        message = "one process only: replicas would not know each other's connections"
        yield Finding("OK", "http", f"{message} (server.state_key_env)")


async def _reports(config: Config, environ: Mapping[str, str]) -> Mapping[str, ServerReport]:
    """All servers tried at once; each takes at most its `connect_timeout`."""
    reports: dict[str, ServerReport] = {}

    async def inspect(hub: Hub, name: str) -> None:
        reports[name] = await hub.inspect(name)

    async with (
        open_hub(
            config.servers, config.unavailable, environ, secrets=declared_secrets(config, environ)
        ) as hub,
        anyio.create_task_group() as group,
    ):
        for name in config.servers:
            group.start_soon(inspect, hub, name)
    return reports


def _of_roots(name: str, entry: ServerEntry) -> Iterator[Finding]:
    for root in entry.roots:
        if not Path(root_path(root)).exists():
            fix = f"make it, or mend mcpServers.{name}.roots"
            yield Finding("WARN", f"server {name}", f"its root {root} is not there", fix)


def _of_server(entry: ServerEntry, report: ServerReport) -> Iterator[Finding]:
    subject = f"server {report.name}"
    yield from _of_roots(report.name, entry)
    if report.error is not None:
        yield Finding("FAIL", subject, report.error, _fix(entry, report.name, report.error))
        return
    costs = [(tool.name, tool.json_bytes // _BYTES_PER_TOKEN) for tool in report.tools]
    total = sum(tokens for _, tokens in costs)
    message = f"{counted(len(costs), 'tool')}, about {total} tokens, ready in {report.seconds:.1f} s"
    details = tuple(f"{name} (about {tokens} tokens)" for name, tokens in costs)
    yield Finding("OK", subject, message, details=details)
    if total > _MANY_TOKENS:
        fix = f"name the tools that are needed in mcpServers.{report.name}.tools"
        yield Finding("WARN", subject, "its tool definitions take much of a model's context", fix)
    if entry.oauth and entry.oauth.client_secret and not entry.oauth.issuer:
        message = "its `oauth.client_secret` goes to whichever authorization server it names"
        fix = f"write the right one as mcpServers.{report.name}.oauth.issuer"
        yield Finding("WARN", subject, message, fix)
    for warning in report.warnings:
        yield Finding("WARN", subject, warning, "tell the server's author; its other tools work")
    for notice in report.offer.notices if report.offer else ():
        yield Finding("WARN", subject, notice, "ask the server's author what they are for")
    if entry.instructions and entry.untrusted:
        message = "its own instructions are not used: it is untrusted"
        yield Finding("WARN", subject, message, f"take one of the two out of mcpServers.{report.name}")


def _fix(entry: ServerEntry, name: str, error: str) -> str:
    access = access_of(name, entry)
    if access is not None and access.way_out in error:
        return access.way_out
    fix = f'mend mcpServers.{name} in the config, or set "disabled": true there'
    if entry.command and f"command `{entry.command}` was not found" in error:
        return f"install it, or write its absolute path as mcpServers.{name}.command; else {fix}"
    # An HTTP status is an answer: something runs there.
    if entry.url and "HTTP " not in error:
        return f"is it running at {shown_url(entry.url)}? Else {fix}"
    return fix


async def _check_store(config: Config, environ: Mapping[str, str]) -> Finding:
    url = config.store or default_store_url(environ)
    fix = "name a file that can be written: `store` in the config, or AGENT_MCP_STORE"
    try:
        async with open_store(url) as store:
            unfinished = await store.count_unfinished()
        await anyio.to_thread.run_sync(check_store, url)
    except ConfigError as error:
        return Finding("FAIL", "store", error.problem, error.hint or fix)
    except PublicError as error:
        return Finding("FAIL", "store", error.message, error.hint or fix)
    told = f"{shown_store(url)}: can be written; {counted(unfinished, 'turn')} queued or running"
    return Finding("OK", "store", told)
