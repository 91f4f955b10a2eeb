"""The `server` key beyond its shape: who may come over HTTP. Tokens become hashes; nothing keeps them in clear.

A variable (or file, or entry of the keyring) that is named and not there is no error by itself: only serving over HTTP
needs it, and refuses without it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from agent_mcp.config.findings import Complaint
from agent_mcp.config.names import FILE, KEYRING
from agent_mcp.config.schema import OAuthEntry, ServerSettings, TokenEntry

TOKEN_CHARACTERS = 16
"""A shorter token could be guessed."""
KEY_CHARACTERS = 32
_TOKEN_KEYS = ("token", "token_env", "token_file", "token_keyring", "token_sha256")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_HASH_ONE = "printf %s TOKEN | sha256sum prints them"
_MAKE_ONE = 'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'


def hashed(settings: ServerSettings, environ: Mapping[str, str]) -> ServerSettings:
    """The settings with every token that is there as `token_sha256` alone, and hosts' names in lower case."""
    tokens = tuple(_hashed(entry, environ) for entry in settings.tokens)
    hosts = {name.lower(): entry for name, entry in settings.hosts.items()}
    return settings.model_copy(update={"tokens": tokens, "hosts": hosts})


def check_serving(settings: ServerSettings) -> Iterator[Complaint]:
    """A complaint for everything that is wrong wherever the file is read; keys are relative to `server`."""
    for index, entry in enumerate(settings.tokens):
        for complaint in _about_token(entry):
            yield complaint.under(f"tokens.{index}")
    if settings.oauth is not None:
        for complaint in _about_oauth(settings.oauth):
            yield complaint.under("oauth")
    for origin in settings.allowed_origins:
        if not _is_url(origin):
            yield Complaint("allowed_origins", f"`{origin}` is no origin", "write https://app.example.org")
    for host in settings.allowed_hosts:
        if not host.strip() or "/" in host:
            yield Complaint(
                "allowed_hosts", f"`{host}` is no host", "write mcp.example.org, without https://"
            )


def missing_variables(settings: ServerSettings, environ: Mapping[str, str]) -> Iterator[Complaint]:
    """A complaint for every variable that HTTP needs and that is not set, or too short to be a secret."""
    for index, entry in enumerate(settings.tokens):
        key, name = _source(entry)
        if name is not None and len(environ.get(name, "")) < TOKEN_CHARACTERS:
            yield _missing(f"tokens.{index}.{key}", name, TOKEN_CHARACTERS)
    for name in settings.state_key_env:
        if len(environ.get(name, "")) < KEY_CHARACTERS:
            yield _missing("state_key_env", name, KEY_CHARACTERS)


def state_keys(settings: ServerSettings, environ: Mapping[str, str]) -> list[bytes]:
    """The secrets that replicas share, the sealing one first; those that are too short are left out."""
    values = (environ.get(name, "") for name in settings.state_key_env)
    return [value.encode() for value in values if len(value) >= KEY_CHARACTERS]


def resource_url(oauth: OAuthEntry) -> str:
    """The URL that clients connect to."""
    return oauth.resource_url or oauth.audience


def _hashed(entry: TokenEntry, environ: Mapping[str, str]) -> TokenEntry:
    _, name = _source(entry)
    token = entry.token if name is None else environ.get(name)
    if token is None or len(token) < TOKEN_CHARACTERS:
        return entry
    return TokenEntry(name=entry.name, token_sha256=hashlib.sha256(token.encode()).hexdigest())


def _source(entry: TokenEntry) -> tuple[str, str | None]:
    """The key that says where the token lies, and the name by which `config.names` finds it there."""
    if entry.token_file is not None:
        return "token_file", f"{FILE}{entry.token_file}"
    if entry.token_keyring is not None:
        return "token_keyring", f"{KEYRING}{entry.token_keyring}"
    return "token_env", entry.token_env


def _about_token(entry: TokenEntry) -> Iterator[Complaint]:
    if not _NAME.fullmatch(entry.name):
        yield Complaint("name", "must be 1 to 64 letters, digits, `.`, `_` or `-`")
    said = [name for name in _TOKEN_KEYS if getattr(entry, name) is not None]
    if len(said) != 1:
        problem = f"says the token twice: {', '.join(said)}" if said else "says nothing of the token"
        yield Complaint("", problem, f"give one of {', '.join(_TOKEN_KEYS)}")
    elif entry.token_sha256 is not None and not _SHA256.fullmatch(entry.token_sha256):
        yield Complaint("token_sha256", "must be 64 hexadecimal digits", _HASH_ONE)
    elif entry.token is not None and len(entry.token) < TOKEN_CHARACTERS:
        yield Complaint("token", f"is shorter than {TOKEN_CHARACTERS} characters", _MAKE_ONE)


def _about_oauth(oauth: OAuthEntry) -> Iterator[Complaint]:
    if not _is_url(oauth.issuer):
        yield Complaint("issuer", "must be a URL", "write it as the tokens have it in `iss`")
    if oauth.jwks_url is not None and not _is_url(oauth.jwks_url):
        yield Complaint("jwks_url", "must be a URL", "leave it out to have the issuer asked")
    if not _is_url(resource_url(oauth)):
        problem = "is missing, and the audience is no URL"
        yield Complaint("resource_url", problem, "write the URL that clients connect to, https://…/mcp")


def _missing(key: str, name: str, characters: int) -> Complaint:
    what = name if name.startswith((FILE, KEYRING)) else f"the variable {name}"
    problem = f"{what} is not set, or shorter than {characters} characters"
    return Complaint(key, problem, _MAKE_ONE)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname)
