"""The values that must never be printed: keys of the environment, and what a config hands to its servers.

In logs and errors too much is better than too little; only short values are left, since masking those would garble
every line. In what a model reads (`declared_secrets`) a plain word is left too: a password `example` would take the
word out of every result.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

from agent_mcp.config.blot import Blot
from agent_mcp.config.expand import expand
from agent_mcp.config.names import FILE, KEYRING, with_names
from agent_mcp.config.schema import Config, ModelEntry, ServerEntry

_SECRET_NAME = re.compile(
    r"(key|token|secret|passwor[dt]|passwd|credential|authorization|auth|cookie|dsn)s?$", re.IGNORECASE
)
_SHORTEST = 6
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""Every child gets them, and their addresses may hold a password."""
_PROVIDERS = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL")


_PROVIDER_KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
_HARMLESS_HEADER = re.compile(
    r"accept(-.*)?|content-.*|user-agent|origin|referer|cache-control|mcp-.*|.*-(version|beta)", re.IGNORECASE
)
_PLAIN_WORD = re.compile(r"[A-Za-z]{,15}|[0-9.]{,9}")
"""What stands in ordinary texts too."""


def secrets_of(config: Config, environ: Mapping[str, str]) -> frozenset[str]:
    """Every value to be masked in logs."""
    names = with_names(environ)
    servers = (*config.servers.values(), *config.left_out.values())
    of_models = (_of_model(model, names) for model in config.models.values())
    shared = [names.get(name, "") for name in config.server.state_key_env]
    addresses = [config.store or "", *(names.get(name, "") for name in (*_PROXIES, *_PROVIDERS))]
    of_config = (*map(_of_server, servers), *of_models, *map(_of_address, addresses))
    return _long_enough(_named_like_secrets(names), shared, *of_config)


def declared_secrets(config: Config, environ: Mapping[str, str]) -> frozenset[str]:
    """Every value that the config (or a provider's own variable) says is one: out of what models and hosts read."""
    names = with_names(environ)
    of_servers = [secrets_of_server(server, names) for server in config.servers.values()]
    of_all = (*config.servers.values(), *config.models.values())
    harmless = {value for entry in of_all for value in _harmless(entry.headers)}
    of_models = (_of_model(model, names) for model in config.models.values())
    shared = (names.get(name, "") for name in (*_PROVIDER_KEYS, *config.server.state_key_env))
    found = _long_enough(*of_servers, *of_models, shared, _of_address(config.store or "")) - harmless
    return frozenset(value for value in found if not _PLAIN_WORD.fullmatch(value))


def secrets_of_server(server: ServerEntry, environ: Mapping[str, str]) -> frozenset[str]:
    """What the server's own words (its stderr, its answers to a refused request) must not bring out."""
    inherited = {name: environ[name] for name in (*server.inherit_env, *_PROXIES) if name in environ}
    addresses = (_of_address(value) for value in inherited.values())
    return _long_enough(_of_server(server), _named_like_secrets(inherited), *addresses)


def secrets_of_model(headers: Mapping[str, str], base_url: str | None) -> frozenset[str]:
    """The same for a model behind an address, besides its key."""
    return _long_enough(_header_values(headers), _of_address(base_url or ""))


def secrets_in_replies(key: str, headers: Mapping[str, str], base_url: str | None) -> frozenset[str]:
    """What of a model's key, headers and address a reply must not repeat: not every word that stands in a header."""
    found = _long_enough([key], secrets_of_model(headers, base_url)) - {*_harmless(headers)}
    return frozenset(value for value in found if not _PLAIN_WORD.fullmatch(value))


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret; what lies in files and the keyring always is one."""
    return name.startswith((FILE, KEYRING)) or bool(_SECRET_NAME.search(name))


def name_of_key(model: ModelEntry) -> str | None:
    """The name by which `config.names` finds a model's key; None: the provider's own variable."""
    if model.api_key_file is not None:
        return f"{FILE}{model.api_key_file}"
    if model.api_key_keyring is not None:
        return f"{KEYRING}{model.api_key_keyring}"
    return model.api_key_env


def blotted(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` in the place of every secret, in whatever form; who asks often keeps a `Blot`."""
    return Blot(secrets)(text)


def _long_enough(*groups: Iterable[str]) -> frozenset[str]:
    return frozenset(value for values in groups for value in values if len(value) >= _SHORTEST)


def _of_server(server: ServerEntry) -> Iterator[str]:
    yield from server.confidential
    if server.oauth is not None:
        yield from (server.oauth.client_secret or "", server.oauth.private_key or "")
    yield from _header_values(server.headers)
    yield from _named_like_secrets(server.env)
    for value in server.env.values():
        yield from _of_address(value)
    yield from _of_arguments(server.args)
    yield from _of_address(server.url or "")


def _of_model(model: ModelEntry, names: Mapping[str, str]) -> Iterator[str]:
    yield names.get(name_of_key(model) or "", "")
    yield from _header_values(expand(dict(model.headers), names))
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


def _harmless(headers: Mapping[str, str]) -> Iterator[str]:
    """What every client says of itself."""
    return _header_values(
        {name: value for name, value in headers.items() if _HARMLESS_HEADER.fullmatch(name)}
    )


def _header_values(headers: Mapping[str, str]) -> Iterator[str]:
    """Whole, and without a scheme as in `Bearer x`."""
    for value in headers.values():
        yield value
        yield value.partition(" ")[2]


def _named_like_secrets(values: Mapping[str, str]) -> Iterator[str]:
    return (value for name, value in values.items() if _SECRET_NAME.search(name))
