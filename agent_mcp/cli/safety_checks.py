"""What `doctor` checks of a config's safety: who else can read its secrets, and whether its caps fit the system."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agent_mcp.cli.findings import Finding
from agent_mcp.cli.open_files import check_open_files
from agent_mcp.config.schema import Config, ServerEntry


def check_safety(config: Config) -> Iterator[Finding]:
    """A finding for each thing that is less safe, or smaller, than it should be."""
    for file in config.secret_files:
        yield from _check_secret_file(Path(file))
    yield from _check_children(config)
    yield from check_open_files(config)


def _check_secret_file(file: Path) -> Iterator[Finding]:
    try:
        mode = file.stat().st_mode
    except OSError:
        return  # What needed it has said so.
    # On Windows the mode says nothing about others.
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        who = "everybody on this machine" if mode & stat.S_IROTH else "its group"
        message = f"{file} holds a secret and can be read by {who}"
        yield Finding("WARN", "secret file", message, f"chmod 600 {file}")


def _check_children(config: Config) -> Iterator[Finding]:
    programs = sum(_is_program(entry) for entry in config.servers.values())
    most = config.server.max_children
    if programs > most:
        message = f"{programs} stdio servers, of which {most} may run at once: they take turns"
        yield Finding("WARN", "servers", message, "raise server.max_children, or give agents fewer servers")


def _is_program(entry: ServerEntry) -> bool:
    return entry.command is not None
