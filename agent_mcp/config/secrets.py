"""The values that must never be printed: keys of the environment, and what a config hands to its servers.

Too much is better than too little here; only short values are left, since masking those would garble every line.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

from agent_mcp.config.schema import Config, ServerEntry

_SECRET_NAME = re.compile(
    r"(key|token|secret|passwor[dt]|passwd|credential|authorization|auth|cookie|dsn)s?$", re.IGNORECASE
)
_SHORTEST = 6


def secrets_of(config: Config, environ: Mapping[str, str]) -> frozenset[str]:
    """Every value to be masked in logs."""
    return frozenset(value for value in _all(config, environ) if len(value) >= _SHORTEST)


def _all(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    yield from _named_like_secrets(environ)
    for server in (*config.servers.values(), *config.left_out.values()):
        yield from _of_server(server)
    for model in config.models.values():
        yield from _header_values(model.headers)
        yield environ.get(model.api_key_env or "", "")
    if config.store:
        yield urlsplit(config.store).password or ""


def _of_server(server: ServerEntry) -> Iterator[str]:
    yield from _header_values(server.headers)
    yield from _named_like_secrets(server.env)
    if server.url:
        parts = urlsplit(server.url)
        yield parts.password or ""
        yield from _named_like_secrets(dict(parse_qsl(parts.query)))


def _header_values(headers: Mapping[str, str]) -> Iterator[str]:
    """Whole, and without a scheme as in `Bearer x`."""
    for value in headers.values():
        yield value
        yield value.partition(" ")[2]


def _named_like_secrets(values: Mapping[str, str]) -> Iterator[str]:
    return (value for name, value in values.items() if _SECRET_NAME.search(name))
