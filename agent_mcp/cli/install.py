"""`agent-mcp install HOST`: writes our entry into the host's own config file, and nothing else into it.

A backup first, then one atomic step. What can't be changed safely is not changed: the entry is shown, to be pasted.
"""

import difflib
import os
import shutil
import stat
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent_mcp.cli.host_files import HostFile, host_file, is_ours, merged_entry, new_entry
from agent_mcp.cli.splicing import UnfitTextError, entries_of, set_entry, snippet
from agent_mcp.errors import AgentMcpError

_NAMES = ("agent", "agent-mcp")
_KEYS = (
    "No key was written: put ANTHROPIC_API_KEY or another provider's key into the entry's `env`, or set it in the "
    "environment that the host starts with."
)


@dataclass(frozen=True, slots=True)
class _Change:
    """What would be written."""

    name: str
    before: str
    after: str
    has_key: bool = False
    """Whether the user has put a provider's key into the entry."""


def run(options: Namespace) -> int:
    """Write the entry, or with `--dry-run` show what would change.

    Raises:
        ConfigError: `--config` names no file.
        AgentMcpError: the host is not installed, or its file can't be changed safely.
    """
    file = host_file(options.target, os.environ)
    if not file.installed:
        folder = " or ".join(str(sign) for sign in file.signs)
        raise AgentMcpError(
            f"{file.host} does not seem to be installed: there is no {folder}; nothing was written "
            "(start the host once, or paste the README's entry into its file by hand)"
        )
    entry = new_entry(file, config=options.config, environ=os.environ)
    change = _change(file, entry)
    if change.after == change.before:
        print(f"{file.path} has the entry `{change.name}` already: nothing to do")
    elif options.dry_run:
        print(_diff(file.path, change), end="")
    else:
        _write(file.path, change)
    return 0


def _change(file: HostFile, entry: Mapping[str, Any]) -> _Change:
    """Raises: AgentMcpError: the file can't be changed safely; the message ends in the entry to paste."""
    name = _NAMES[0]
    try:
        before = _read(file.path)
        entries = entries_of(before, file.syntax, file.section)
        name = _free_name(entries)
        old = entries.get(name)
        wanted = merged_entry(old, entry) if old is not None else dict(entry)
        if old == wanted:
            return _Change(name, before, before)
        after = set_entry(before, file.syntax, section=file.section, name=name, entry=wanted)
    except UnfitTextError as error:
        print(snippet(file.syntax, section=file.section, name=name, entry=entry))
        raise AgentMcpError(
            f"{file.path} was not changed: {error}. Paste the entry above into it yourself"
        ) from error
    return _Change(name, before, after, any(variable.endswith("_API_KEY") for variable in wanted["env"]))


def _free_name(entries: Mapping[str, Any]) -> str:
    """The name of the entry that is ours already, else the first that is not taken.

    Raises:
        UnfitTextError: other programs have all of them.
    """
    ours = [name for name in _NAMES if is_ours(entries.get(name))]
    free = [name for name in _NAMES if name not in entries]
    if names := [*ours, *free]:
        return names[0]
    raise UnfitTextError(f"its entries {' and '.join(_NAMES)} start other programs: choose another name")


def _read(path: Path) -> str:
    """The text with its line ends as they are; empty where there is no file."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise UnfitTextError(f"it is not UTF-8: {error}") from error
    except OSError as error:
        raise UnfitTextError(f"it can't be read: {error.strerror or error}") from error


def _diff(path: Path, change: _Change) -> str:
    """Only the lines that change: those around them may hold other servers' keys."""
    lines = difflib.unified_diff(
        change.before.splitlines(), change.after.splitlines(), str(path), str(path), n=0, lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _write(path: Path, change: _Change) -> None:
    # A file that is a link to one elsewhere, as in collections of dotfiles, stays a link.
    target = path.resolve()
    try:
        backup = _back_up(target)
        if _read(path) != change.before:
            raise AgentMcpError(f"{path} was changed by another program just now: run the command again")
        _replace(target, change.after)
    except OSError as error:
        problem = f"{path} was not changed: {target.parent} can't be written: {error.strerror or error}"
        raise AgentMcpError(f"{problem} (mend its permissions, or paste what --dry-run shows)") from error
    print(f"wrote the entry `{change.name}` into {path}")
    if backup is not None:
        print(f"the file as it was is in {backup}")
    if not change.has_key:
        print(_KEYS)
    print("Restart the host to see the tools.")


def _back_up(target: Path) -> Path | None:
    if not target.exists():
        return None
    backup = target.with_name(f"{target.name}.{datetime.now():%Y%m%d-%H%M%S-%f}.bak")
    shutil.copy2(target, backup)
    return backup


def _replace(target: Path, text: str) -> None:
    """All or nothing, with the mode that the file had; a new one is its owner's alone, for keys may come into it."""
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o600
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as stream:
        temporary = Path(stream.name)
        stream.write(text.encode("utf-8"))
        stream.flush()
        os.fsync(stream.fileno())
    try:
        temporary.chmod(mode)
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
