"""The values that must never be printed: keys of the environment, and what a config hands to its servers.

Too much is better than too little here; only short values are left, since masking those would garble every line.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

from agent_mcp.config.schema import Config, ModelEntry, ServerEntry

_SECRET_NAME = re.compile(
    r"(key|token|secret|passwor[dt]|passwd|credential|authorization|auth|cookie|dsn)s?$", re.IGNORECASE
)
_SHORTEST = 6
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""Every child gets them, and their addresses may hold a password."""
_PROVIDERS = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL")


def secrets_of(config: Config, environ: Mapping[str, str]) -> frozenset[str]:
    """Every value to be masked in logs."""
    servers = (*config.servers.values(), *config.left_out.values())
    models = config.models.values()
    keys = [environ.get(model.api_key_env or "", "") for model in models]
    addresses = [config.store or "", *(environ.get(name, "") for name in (*_PROXIES, *_PROVIDERS))]
    of_config = (*map(_of_server, servers), *map(_of_model, models), *map(_of_address, addresses))
    return _long_enough(_named_like_secrets(environ), keys, *of_config)


def secrets_of_server(server: ServerEntry, environ: Mapping[str, str]) -> frozenset[str]:
    """What the server's own words (its stderr, its answers to a refused request) must not bring out."""
    inherited = {name: environ[name] for name in (*server.inherit_env, *_PROXIES) if name in environ}
    addresses = (_of_address(value) for value in inherited.values())
    return _long_enough(_of_server(server), _named_like_secrets(inherited), *addresses)


def secrets_of_model(headers: Mapping[str, str], base_url: str | None) -> frozenset[str]:
    """The same for a model behind an address, besides its key."""
    return _long_enough(_header_values(headers), _of_address(base_url or ""))


def blotted(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` in the place of every secret."""
    # The longest first: of `abc` and `abcdef` the rest of the longer one would stay.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _long_enough(*groups: Iterable[str]) -> frozenset[str]:
    return frozenset(value for values in groups for value in values if len(value) >= _SHORTEST)


def _of_server(server: ServerEntry) -> Iterator[str]:
    yield from _header_values(server.headers)
    yield from _named_like_secrets(server.env)
    for value in server.env.values():
        yield from _of_address(value)
    yield from _of_arguments(server.args)
    yield from _of_address(server.url or "")


def _of_model(model: ModelEntry) -> Iterator[str]:
    yield from _header_values(model.headers)
    yield from _of_address(model.base_url or "")


def _of_arguments(arguments: Iterable[str]) -> Iterator[str]:
    """The values of `--api-key value` and `--token=value`, and what addresses hold."""
    arguments = list(arguments)
    given = [(name, value) for name, value in pairwise(arguments) if name.startswith("-") and "=" not in name]
    joined = [argument.partition("=")[::2] for argument in arguments]
    for name, value in (*given, *joined):
        if _SECRET_NAME.search(name):
            yield value
    for argument in arguments:
        yield from _of_address(argument)


def _of_address(text: str) -> Iterator[str]:
    """The password (or a user that stands for one) and the keys in the query of a URL, in each form that they take."""
    if "://" not in text:
        return
    try:
        parts = urlsplit(text)
    except ValueError:
        return
    secret = parts.password or parts.username or ""
    yield from (secret, unquote(secret))
    if secret:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        yield b64encode(pair.encode()).decode()
    yield from _named_like_secrets(dict(parse_qsl(parts.query)))


def _header_values(headers: Mapping[str, str]) -> Iterator[str]:
    """Whole, and without a scheme as in `Bearer x`."""
    for value in headers.values():
        yield value
        yield value.partition(" ")[2]


def _named_like_secrets(values: Mapping[str, str]) -> Iterator[str]:
    return (value for name, value in values.items() if _SECRET_NAME.search(name))
