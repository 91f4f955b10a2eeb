"""What `doctor` checks of safety: who else can read secrets and the store, and whether the caps fit the system."""

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


def check_store_file(file: Path) -> Iterator[Finding]:
    """A finding where others can read or change the store: it was made so by somebody else, a copy or a backup."""
    if who := _others(file, stat.S_IRWXG | stat.S_IRWXO):
        message = f"{file} holds all that was said in sessions, and is open to {who}"
        yield Finding("WARN", "store", message, f"chmod 600 {file}")


def _check_secret_file(file: Path) -> Iterator[Finding]:
    if who := _others(file, stat.S_IRGRP | stat.S_IROTH):
        message = f"{file} holds a secret and can be read by {who}"
        yield Finding("WARN", "secret file", message, f"chmod 600 {file}")


def _others(file: Path, wrong: int) -> str:
    """Who else has one of these rights; empty where nobody has."""
    try:
        mode = file.stat().st_mode & wrong
    except OSError:
        return ""  # What needed it has said so.
    # On Windows the mode says nothing about others.
    if os.name != "posix" or not mode:
        return ""
    return "everybody on this machine" if mode & stat.S_IRWXO else "its group"


def _check_children(config: Config) -> Iterator[Finding]:
    programs = sum(_is_program(entry) for entry in config.servers.values())
    most = config.server.max_children
    if programs > most:
        message = f"{programs} stdio servers, of which {most} may run at once: they take turns"
        yield Finding("WARN", "servers", message, "raise server.max_children, or give agents fewer servers")


def _is_program(entry: ServerEntry) -> bool:
    return entry.command is not None
