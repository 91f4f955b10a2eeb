"""Pinned definitions of tools, for who looks after them: `agent-mcp approvals pins`, and `doctor`'s look at them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agent_mcp.cli.findings import Finding
from agent_mcp.config.paths import identity_of
from agent_mcp.config.schema import Config
from agent_mcp.errors import ConfigError, InvalidArgumentError, PublicError
from agent_mcp.sessions.pinning import entry_of
from agent_mcp.sessions.pins import Pin
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.sessions.transcript import cut
from agent_mcp.store.open import default_store_url, open_store

if TYPE_CHECKING:
    # With it comes all of MCP, a second of a command that starts no server.
    from agent_mcp.downstream.hub import ServerReport

_SHOWN_CHARACTERS = 300


async def show_pins(store: SessionStore, config: Config) -> None:
    """Print which tools of the config's servers are not defined as at their first use."""
    differing = {name: await _differing(store, config, name) for name in config.servers}
    if not any(differing.values()):
        print("every tool is defined as at its first use")
        return
    for server, pins in differing.items():
        for pin in pins:
            print(f"{server}: {_shown(pin.tool)} {'has changed' if pin.accepted else 'is new'}")
    print("\nlook at them with: agent-mcp doctor")
    print("accept them with: agent-mcp approvals pins accept SERVER")


async def accept_pins(store: SessionStore, config: Config, server: str) -> None:
    """Accept what was seen of a server, and print which tools that were.

    Raises:
        InvalidArgumentError: the config has no such server.
    """
    if server not in config.servers:
        known = ", ".join(config.servers) or "none"
        raise InvalidArgumentError(f"the config has no server {_shown(server)}", hint=f"it has: {known}")
    accepted = await store.accept_pins(_entry(config, server))
    if not accepted:
        print(f"nothing to accept: every tool of {server} that was seen is as at its first use")
    for tool in accepted:
        print(f"accepted {server}: {_shown(tool)}")


async def check_pins(
    config: Config, environ: Mapping[str, str], reports: Mapping[str, "ServerReport"]
) -> Sequence[Finding]:
    """What differs now; it is kept as seen, so that it can be accepted. A server that was never used stays so."""
    findings: list[Finding] = []
    try:
        async with open_store(config.store or default_store_url(environ)) as store:
            for name, report in reports.items():
                findings += await _check(store, config, name, report)
    except (PublicError, ConfigError):
        # Said by the check of the store itself.
        return ()
    return findings


async def _check(store: SessionStore, config: Config, name: str, report: "ServerReport") -> Sequence[Finding]:
    entry = _entry(config, name)
    if report.offer is None or config.servers[name].pins == "off" or not await store.pins(entry):
        return ()
    pins = await store.pin(entry, report.offer.digests)
    changed = [pin for pin in pins if pin.differs and pin.tool in report.offer.digests]
    if not changed:
        return ()
    descriptions = {tool.tool_name: tool.description for tool in report.listed}
    details = tuple(
        f"{_shown(pin.tool)} ({'changed' if pin.accepted else 'new'}): {_shown(descriptions.get(pin.tool, ''))}"
        for pin in changed
    )
    message = f"{len(changed)} tools are not defined as at their first use"
    fix = f"if that is as it should be: agent-mcp approvals pins accept {name}"
    return [Finding("WARN", f"server {name}", message, fix, details)]


async def _differing(store: SessionStore, config: Config, server: str) -> Sequence[Pin]:
    return [pin for pin in await store.pins(_entry(config, server)) if pin.differs]


def _entry(config: Config, server: str) -> str:
    return entry_of(identity_of(config.path), server)


def _shown(text: str) -> str:
    """One line of what a server said, without what could move the cursor."""
    line = " ".join(text.split())
    return cut("".join(char if char.isprintable() else "?" for char in line), _SHOWN_CHARACTERS)
