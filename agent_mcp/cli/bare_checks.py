"""What `doctor` checks of a host that was started from a desktop: it has hardly any environment, and so have we then.

Above all it has no shell's PATH, and no key that a shell's profile sets. Starts no server. On Windows desktop and
terminal have the same environment, and nothing is checked.
"""

import posixpath
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import anyio

from agent_mcp.cli.findings import Finding
from agent_mcp.config.load import load_config
from agent_mcp.config.schema import Config, ServerEntry
from agent_mcp.downstream.commands import locate, this_machine
from agent_mcp.downstream.environment import child_environment
from agent_mcp.downstream.faults import UnavailableError

_SUBJECT = "host environment"
_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
"""What a desktop gives its programs."""
_KEPT = ("HOME", "LOGNAME", "SHELL", "TMPDIR", "USER")
_CHOOSE_MODELS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "AGENT_MCP_MODEL",
)


async def check_bare(config: Config, environ: Mapping[str, str], servers: Iterable[str]) -> list[Finding]:
    """A warning for each of `servers` (those that start here) whose program is not found there, and the variables
    that the host's entry must set."""
    if sys.platform == "win32":
        return []
    bare = _bare(config, environ)
    commands = await _check_commands({name: config.servers[name] for name in servers}, environ, bare)
    variables = list(_check_variables(config, environ, bare))
    if commands or variables:
        return [*commands, *variables]
    return [Finding("OK", _SUBJECT, "all is found as well where a host is started from a desktop")]


def _bare(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """With the `env` of the host's entry, where the config is a host's file with one such entry."""
    entries = list(config.left_out.values())
    own = entries[0].env if len(entries) == 1 else {}
    return {name: environ[name] for name in _KEPT if name in environ} | {"PATH": _PATH} | own


async def _check_commands(
    servers: Mapping[str, ServerEntry], environ: Mapping[str, str], bare: Mapping[str, str]
) -> list[Finding]:
    """All at once, since the login shell may have to be asked."""
    lost: list[str] = []

    async def seek(name: str, entry: ServerEntry, command: str) -> None:
        env = child_environment(bare, inherit=entry.inherit_env, own=entry.env, platform=sys.platform)
        try:
            await locate(this_machine(sys.platform), command, env=env, cwd=str(Path.cwd()))
        except UnavailableError:
            lost.append(name)

    async with anyio.create_task_group() as tasks:
        for name, entry in servers.items():
            if entry.command and not posixpath.dirname(entry.command):
                tasks.start_soon(seek, name, entry, entry.command)
    return [_lost(name, entry, environ) for name, entry in servers.items() if name in lost]


def _lost(name: str, entry: ServerEntry, environ: Mapping[str, str]) -> Finding:
    command = entry.command or ""
    path = shutil.which(command, path=environ.get("PATH"))
    message = (
        f"`{command}` is found by this shell's PATH alone, which a host started from a desktop does not have"
    )
    absolute = f"write {path} as mcpServers.{name}.command" if path else "write its absolute path"
    return Finding("WARN", f"server {name}", message, f"{absolute}, or run `agent-mcp install HOST`")


def _check_variables(
    config: Config, environ: Mapping[str, str], bare: Mapping[str, str]
) -> Iterator[Finding]:
    """No warning: whether the host's entry sets them is not known here, and no other place is better for them."""
    if config.path is not None:
        there = load_config(config.path, bare)
        for name, reason in there.unavailable.items():
            if name not in config.unavailable:
                message = f"server {name} is not there unless the host's entry helps: {reason}"
                yield Finding("OK", _SUBJECT, message, "set it in `env` of the host's entry")
    of_models = [entry.api_key_env or "" for entry in config.models.values()]
    names = [
        name
        for name in dict.fromkeys((*_CHOOSE_MODELS, *of_models))
        if environ.get(name) and name not in bare
    ]
    if names:
        message = f"a host started from a desktop does not have {', '.join(names)}"
        yield Finding("OK", _SUBJECT, message, "set them in `env` of the host's entry")
