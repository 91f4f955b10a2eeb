"""Turns what psycopg complains about into a `StoreError` that names the server and a way out, and never a password."""

from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolClosed, PoolTimeout

from agent_mcp.errors import ConfigError, StoreError

_UPGRADE = "run `agent-mcp db upgrade`"
_REACH = "check that PostgreSQL runs and that the address in `store` is right"
_HINTS = {
    "28P01": "check the user and password in `store`, PGPASSWORD or ~/.pgpass",
    "28000": "check the user in `store`, and pg_hba.conf on the server",
    "3D000": "create the database, or name another one in `store`",
    "3F000": _UPGRADE,
    "42P01": _UPGRADE,
    "42703": _UPGRADE,
    "42501": "give the user of `store` the rights to the schema `agent_mcp`",
    "25006": "`store` names a read-only standby: name the primary, or add target_session_attrs=read-write",
    "53100": "the server's disk is full: free some space",
    "53300": "the server has no connection left: raise max_connections, or lower server.worker.connections",
}
# What a message says where the server was refused before it could send a code.
_WORDS = {
    "password authentication failed": _HINTS["28P01"],
    "no password supplied": _HINTS["28P01"],
    "does not exist": "create the database (or the user), or name another one in `store`",
    "no pg_hba.conf entry": _HINTS["28000"],
}
# The server ends this connection, or cannot take a new one yet; the same may succeed on another.
_PASSING = {"57P01", "57P02", "57P03", "25P03", "40001", "40P01", "53300"}


def place_of(url: str) -> str:
    """The address without user, password and options, to be shown to anybody.

    Raises:
        ConfigError: it is no address of a PostgreSQL database.
    """
    problem = "this is no address of a PostgreSQL database"
    if not _is_clear(url):
        hint = "in its user and password write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23, [ as %5B"
        raise ConfigError("store", problem, hint=hint)
    try:
        fields = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        hint = "write postgresql://user@host:5432/database, other characters than letters as %XX"
        # Not chained: libpq repeats the part that it does not understand, which may be the password.
        raise ConfigError("store", problem, hint=hint) from None
    host, port = fields.get("host") or "localhost", fields.get("port")
    return f"postgresql://{host}{f':{port}' if port else ''}/{fields.get('dbname') or ''}"


def _is_clear(url: str) -> bool:
    """Whether no part of a password can be taken for the host, the port or the database, which are shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    _, _, hosts = parts.netloc.rpartition("@")
    ports = (host.rpartition("]")[2].partition(":")[2] for host in hosts.split(","))
    strayed = parts.path + parts.fragment + ("" if parts.path else parts.query)
    return (
        parts.netloc.count("@") <= 1
        and "@" not in strayed
        and all(not port or port.isdecimal() for port in ports)
    )


def store_error(url: str, error: Exception) -> StoreError:
    """The public form of `error`, met while working with the database at `url`."""
    if isinstance(error, PoolClosed):
        hint = "the server is shutting down; call again later"
        return StoreError(f"session store {place_of(url)}: it is closed", hint=hint)
    said = " ".join(str(error).split()) or type(error).__name__
    return StoreError(f"session store {place_of(url)}: {_masked(said, url)}", hint=_hint(error))


def is_lost(error: Exception) -> bool:
    """Whether it was the connection's fault, and another one may do better."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, psycopg.Error) or isinstance(error, PoolClosed):
        return False
    state = error.sqlstate
    if state is None:
        # No code: the message never came from the server. A refused password reads so too, at connecting.
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not _is_refusal(error)
    return state in _PASSING or state.startswith("08")


def _is_refusal(error: Exception) -> bool:
    return any(words in str(error) for words in _WORDS)


def _hint(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    if state in _HINTS:
        return _HINTS[state]
    said = str(error)
    for words, hint in _WORDS.items():
        if words in said:
            return hint
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeout)
    return _REACH if lost and state is None else "run `agent-mcp doctor`"


def _masked(text: str, url: str) -> str:
    """libpq does not repeat passwords; what a proxy in between says is not known."""
    password = urlsplit(url).password
    for secret in (password, unquote(password)) if password else ():
        text = text.replace(secret, "***")
    return text
