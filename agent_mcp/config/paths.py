"""Where a config file is looked for, and what a path in it means. Reads nothing."""

import sys
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from agent_mcp.errors import ConfigError

CONFIG_VARIABLE = "AGENT_MCP_CONFIG"


def find_config(named: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file that `--config`, else the environment names, else the user's own if it is there.

    Raises:
        ConfigError: a named file does not exist.
    """
    if named:
        return _existing(named, "--config", environ)
    if from_environ := environ.get(CONFIG_VARIABLE):
        return _existing(from_environ, CONFIG_VARIABLE, environ)
    own = user_config_file(environ)
    return own if own.is_file() else None


def _existing(named: str, origin: str, environ: Mapping[str, str]) -> Path:
    path = expand_home(named, environ).absolute()
    if path.is_dir():
        raise ConfigError(str(path), f"{origin} names a directory", hint="name the config file in it")
    if not path.exists():
        raise ConfigError(str(path), f"{origin} names a file that does not exist", hint="check the path")
    return path


def user_config_file(environ: Mapping[str, str]) -> Path:
    """`agent-mcp/config.json` in the user's config directory, whether or not it exists.

    The environment is a parameter, and not this process's own, because a child's search may be meant. Only the
    XDG rules read it; macOS and Windows have fixed places.
    """
    if sys.platform in {"win32", "darwin"}:
        return Path(platformdirs.user_config_dir("agent-mcp", appauthor=False)) / "config.json"
    base = environ.get("XDG_CONFIG_HOME") or str(home(environ) / ".config")
    return Path(base) / "agent-mcp" / "config.json"


def home(environ: Mapping[str, str]) -> Path:
    """The user's home directory; that of the account where no variable says it."""
    named = environ.get("USERPROFILE" if sys.platform == "win32" else "HOME")
    if named:
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:
        return Path.cwd()


def expand_home(path: str, environ: Mapping[str, str]) -> Path:
    """`~` and `~/x` as the home directory; anything else as it is."""
    if path == "~" or path.startswith(("~/", "~\\")):
        return home(environ) / path[2:]
    return Path(path)


def resolve(path: str, *, base: Path, environ: Mapping[str, str]) -> Path:
    """A path written in a config: home expanded, and relative to `base`, the config file's directory."""
    return base / expand_home(path, environ)


def resolve_store(store: str, *, base: Path, environ: Mapping[str, str]) -> str:
    """A store as written, a SQLite one with its whole path: `sqlite:////abs/x.db`.

    `sqlite:////x.db` is absolute; `sqlite:///x.db` is relative to `base`, after SQLAlchemy's custom, and so is a bare
    path. Other databases' addresses stay as they are, and what was meant to be one too: with its slashes missing it
    would make a file whose name holds a password.
    """
    scheme, separator, path = store.partition("://")
    if not separator:
        if store.lower().startswith(("postgres:", "postgresql:")):
            return store
        path = store
    elif scheme.lower() != "sqlite" or not path.startswith("/"):
        return store
    else:
        path = path[1:]
    return f"sqlite:///{resolve(path, base=base, environ=environ).as_posix()}" if path else store


def resolve_model(reference: str, *, base: Path, environ: Mapping[str, str]) -> str:
    """A model reference as written, the file of a `scripted:FILE` with its whole path."""
    provider, _, file = reference.partition(":")
    if provider != "scripted" or not file:
        return reference
    return f"scripted:{resolve(file, base=base, environ=environ)}"


def identity_of(path: str | None) -> str:
    """The same text for a config file by whatever name it was given; empty for none."""
    return str(Path(path).resolve()) if path else ""
