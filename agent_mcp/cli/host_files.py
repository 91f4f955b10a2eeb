"""Where each host keeps its config, and what our entry in it looks like. Writes nothing.

Places and shapes are those of the hosts' documentation, November 2026.
"""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from agent_mcp.config.chaining import own_arguments
from agent_mcp.config.paths import find_config, home, resolve_model, resolve_store

_STARTUP_SECONDS = 30
_TOOL_SECONDS = 120
"""Codex cuts calls at 60 s unless told otherwise; ours wait up to 45 s, longer where the caller asks."""


@dataclass(frozen=True, slots=True)
class HostFile:
    """A host's config file."""

    host: str
    path: Path
    section: str
    """The key that holds the server entries."""
    signs: tuple[Path, ...]
    """One of these exists where the host is installed."""
    typed: bool = False
    """Whether an entry says `type: stdio`."""
    syntax: Literal["json", "jsonc", "toml"] = "json"
    """JSONC, with comments, only where the host itself reads it."""

    @property
    def installed(self) -> bool:
        """Whether the host seems to be on this machine."""
        return self.path.exists() or any(sign.is_dir() for sign in self.signs)


def host_file(host: str, environ: Mapping[str, str]) -> HostFile:
    """The file of one of the hosts that the command line knows."""
    base = home(environ)
    match host:
        case "claude-desktop":
            folder = _application_data(environ) / "Claude"
            return HostFile(host, folder / "claude_desktop_config.json", "mcpServers", (folder,))
        case "claude-code":
            return HostFile(host, base / ".claude.json", "mcpServers", (base / ".claude",), typed=True)
        case "cursor":
            return HostFile(host, base / ".cursor" / "mcp.json", "mcpServers", (base / ".cursor",))
        case "vscode":
            folder = _application_data(environ) / "Code" / "User"
            return HostFile(host, folder / "mcp.json", "servers", (folder,), typed=True, syntax="jsonc")
        case _:
            folder = Path(environ.get("CODEX_HOME") or base / ".codex")
            return HostFile(host, folder / "config.toml", "mcp_servers", (folder,), syntax="toml")


def _application_data(environ: Mapping[str, str]) -> Path:
    """Where desktop programs keep their settings."""
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or home(environ) / "AppData" / "Roaming")
    if sys.platform == "darwin":
        return home(environ) / "Library" / "Application Support"
    return Path(environ.get("XDG_CONFIG_HOME") or home(environ) / ".config")


def new_entry(file: HostFile, *, config: str | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """Our entry: absolute paths, and the PATH that hosts started from the desktop do not have. Never a key.

    Raises:
        ConfigError: `config`, the value of `--config`, names no file.
    """
    command, *arguments = _command()
    found = find_config(config, environ)
    if found is not None:
        arguments += ["--config", str(found)]
    entry: dict[str, Any] = {"command": command, "args": arguments, "env": _environ_of_entry(environ)}
    if file.syntax == "toml":
        return {**entry, "startup_timeout_sec": _STARTUP_SECONDS, "tool_timeout_sec": _TOOL_SECONDS}
    return {"type": "stdio", **entry} if file.typed else entry


def merged_entry(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The new entry with what the user has added to the old one: keys in `env`, options, a config that we don't
    know of."""
    merged = {
        **old,
        "command": new["command"],
        "args": new["args"],
        "env": {**_object(old.get("env")), **new["env"]},
    }
    kept = list(own_arguments(command_line(old)) or ())
    if kept and "--config" not in new["args"]:
        merged["args"] = [*new["args"], *kept]
    return {**new, **merged}


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def is_ours(entry: object) -> bool:
    """Whether an entry starts agent-mcp."""
    return own_arguments(command_line(entry)) is not None


def command_line(entry: object) -> list[str]:
    """The command of an entry with its arguments; empty for what is no entry of a program."""
    fields = _object(entry)
    command, arguments = fields.get("command"), fields.get("args", [])
    if not isinstance(command, str) or not isinstance(arguments, list):
        return []
    return [command, *map(str, cast("list[object]", arguments))]


def _command() -> list[str]:
    """The console script beside this Python, else this Python with the module. A virtual environment's symbolic link
    is kept: resolved, it would be another environment."""
    program = shutil.which("agent-mcp", path=str(Path(sys.executable).parent))
    return [program] if program else [sys.executable, "-m", "agent_mcp"]


def _environ_of_entry(environ: Mapping[str, str]) -> dict[str, str]:
    here = Path.cwd()
    chosen = {name: environ[name] for name in ("PATH", "AGENT_MCP_LOG_LEVEL") if environ.get(name)}
    if store := environ.get("AGENT_MCP_STORE"):
        chosen["AGENT_MCP_STORE"] = resolve_store(store, base=here, environ=environ)
    if model := environ.get("AGENT_MCP_MODEL"):
        chosen["AGENT_MCP_MODEL"] = resolve_model(model, base=here, environ=environ)
    return chosen
