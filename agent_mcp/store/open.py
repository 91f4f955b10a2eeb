"""From the `store` address of the config to an open store."""

from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_data_path

from agent_mcp.config.schema import WorkerSettings
from agent_mcp.errors import ConfigError
from agent_mcp.sessions.ports import Clock, SessionStore
from agent_mcp.store.soundness import check_whole
from agent_mcp.store.sqlite import open_sqlite

_SHAPE = (
    "sqlite:///relative/path, sqlite:////absolute/path, sqlite:///C:/path or postgresql://user@host/database"
)
_POSTGRES = ("postgresql", "postgres")


def open_store(
    url: str, *, clock: Clock | None = None, settings: WorkerSettings | None = None
) -> AbstractAsyncContextManager[SessionStore]:
    """The store at `url`, open while the context lasts. `clock` gives the times of events; default: the system's.

    `sqlite:///path` is relative to the working directory, `sqlite:////path` absolute, `~` is the home directory;
    the path is taken as it is, without percent-decoding. `postgresql://` is an address as libpq takes it, to which
    `settings` apply.

    Raises:
        ConfigError: the address is not one of these.
        StoreError: (on entering) the store cannot be made, read or written, is damaged, or of a newer version.
    """
    if is_postgres(url):
        return _open_postgres(url, clock, settings)
    return open_sqlite(_sqlite_path(url), clock=clock)


def check_store(url: str) -> None:
    """Read all of the store at `url`, where it is a file; seconds for a gigabyte. A database server checks itself.

    Raises:
        ConfigError: the address is none.
        StoreError: the file is damaged, or cannot be read.
    """
    if not is_postgres(url):
        check_whole(_sqlite_path(url))


def check_address(url: str) -> None:
    """Raises: ConfigError: the address is not one that `open_store` takes."""
    if is_postgres(url):
        with _driver():
            from agent_mcp.store.postgres.faults import place_of
        place_of(url)
    else:
        _sqlite_path(url)


def store_file(url: str) -> Path | None:
    """The file of the store at `url`; None where it is none, or the address is wrong."""
    try:
        return None if is_postgres(url) else _sqlite_path(url)
    except ConfigError:
        return None


def is_postgres(url: str) -> bool:
    """Whether the store is a PostgreSQL database, which processes of several machines may share."""
    return url.partition("://")[0].lower() in _POSTGRES


def shown_url(url: str) -> str:
    """The address as anybody may read it: without user, password and options."""
    if not is_postgres(url):
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def default_store_url(environ: Mapping[str, str]) -> str:
    """`AGENT_MCP_STORE` if it is set, else `sessions.db` in the user's data directory."""
    if url := environ.get("AGENT_MCP_STORE"):
        return url
    path = user_data_path("agent-mcp", appauthor=False) / "sessions.db"
    return f"sqlite:///{path.as_posix()}"


def _open_postgres(
    url: str, clock: Clock | None, settings: WorkerSettings | None
) -> AbstractAsyncContextManager[SessionStore]:
    with _driver():
        from agent_mcp.store.postgres.store import open_postgres
    return open_postgres(url, clock=clock, settings=settings)


@contextmanager
def _driver() -> Generator[None]:
    """For imports that need the driver. Not at the top: who has a file needs none, and each start would take 0.2 s."""
    try:
        yield
    except ImportError as error:
        problem = f"a store in PostgreSQL needs a driver: {error}"
        raise ConfigError("store", problem, hint="pip install 'agent-mcp[postgres]'") from error


def _sqlite_path(url: str) -> Path:
    scheme, separator, rest = url.partition("://")
    if not separator:
        # It is not repeated: it may hold a password.
        raise ConfigError("store", "this is no store address", hint=f"write {_SHAPE}")
    if scheme != "sqlite":  # the rest is not repeated: it may hold a password
        raise ConfigError(
            "store", f"unknown store {scheme!r}: sqlite and postgresql are known", hint=f"write {_SHAPE}"
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
