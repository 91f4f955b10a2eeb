"""From the `store` address of the config to an open store."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from platformdirs import user_data_path

from agent_mcp.errors import ConfigError
from agent_mcp.sessions.ports import Clock, SessionStore
from agent_mcp.store.sqlite import open_sqlite

_SHAPE = "sqlite:///relative/path, sqlite:////absolute/path or sqlite:///C:/path"


def open_store(url: str, *, clock: Clock | None = None) -> AbstractAsyncContextManager[SessionStore]:
    """The store at `url`, open while the context lasts. `clock` gives the times of events; default: the system's.

    `sqlite:///path` is relative to the working directory, `sqlite:////path` absolute, `~` is the home directory;
    the path is taken as it is, without percent-decoding.

    Raises:
        ConfigError: the address is not one of these.
        StoreError: (on entering) the store cannot be made, read or written, is damaged, or of a newer version.
    """
    return open_sqlite(_sqlite_path(url), clock=clock)


def default_store_url(environ: Mapping[str, str]) -> str:
    """`AGENT_MCP_STORE` if it is set, else `sessions.db` in the user's data directory."""
    if url := environ.get("AGENT_MCP_STORE"):
        return url
    path = user_data_path("agent-mcp", appauthor=False) / "sessions.db"
    return f"sqlite:///{path.as_posix()}"


def _sqlite_path(url: str) -> Path:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigError("store", f"{url!r} is no store address", hint=f"write {_SHAPE}")
    if scheme != "sqlite":  # the rest is not repeated: it may hold a password
        raise ConfigError(
            "store", f"unknown store {scheme!r}: only sqlite is supported", hint=f"write {_SHAPE}"
        )
    path = rest.removeprefix("/")
    if path == rest or path in ("", ":memory:"):
        raise ConfigError("store", f"{url!r} names no file", hint=f"write {_SHAPE}")
    return _resolve(path)


def _resolve(path: str) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except RuntimeError as error:  # `~` where nobody knows a home directory
        raise ConfigError("store", f"{path!r}: {error}", hint="write an absolute path") from error
