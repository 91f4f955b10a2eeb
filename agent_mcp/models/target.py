"""What a model reference means: provider, model, address, key. Pure: environment and aliases are handed in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from agent_mcp.config.expand import expand, unset
from agent_mcp.config.names import FILE, KEYRING, with_names
from agent_mcp.config.schema import ModelEntry
from agent_mcp.config.secrets import blotted, name_of_key, secrets_of_model
from agent_mcp.errors import MissingApiKeyError, UnsupportedProviderError

ApiProvider = Literal["anthropic", "openai", "openai-chat"]
"""Providers behind an address; each is one wire."""

WIRES: dict[ApiProvider, str] = {
    "anthropic": "anthropic",
    "openai": "openai-responses",
    "openai-chat": "openai-chat",
}
SCRIPTED = "scripted"

_KEY_VARIABLES: dict[ApiProvider, str] = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openai-chat": "OPENAI_API_KEY",
}
_ADDRESS_VARIABLES: dict[ApiProvider, str] = {
    "anthropic": "ANTHROPIC_BASE_URL",
    "openai": "OPENAI_BASE_URL",
    "openai-chat": "OPENAI_BASE_URL",
}
_NO_KEY = "none"
"""The SDKs and the header they send want some text even where the server wants none."""
_OPENAI_HOST = "api.openai.com"


@dataclass(frozen=True, slots=True)
class Target:
    """A model behind an address, with everything needed to ask it."""

    provider: ApiProvider
    model: str
    """The provider's name; empty: the first one that the address lists (`openai-chat` only)."""
    api_key: str = field(repr=False)
    key_variable: str | None = None
    """The variable that the key came from; None where the server needs none."""
    base_url: str | None = None
    """None: the SDK's own default."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    max_output_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further fields of the request body, as they are; they override ours."""

    @property
    def place(self) -> str:
        """For messages: provider, model, and the address where it is not the usual one; no secrets."""
        name = f"{self.provider}:{self.model}"
        return name if self.base_url is None else f"{name} at {shown_url(self.base_url)}"

    @property
    def connection_key(self) -> tuple[object, ...]:
        """Targets of equal keys share a client."""
        family = "anthropic" if self.provider == "anthropic" else "openai"
        return (family, self.base_url, self.api_key, tuple(sorted(self.headers.items())))

    def without_secrets(self, text: str) -> str:
        """What a provider said, which may repeat what it was sent."""
        # A word that stands for "no key" is none.
        key = {self.api_key} if len(self.api_key) > len(_NO_KEY) else set[str]()
        return blotted(text, key | secrets_of_model(self.headers, self.base_url))

    @property
    def is_openai_itself(self) -> bool:
        """Whether the address is OpenAI's own, not a compatible server's."""
        return self.base_url is None or urlsplit(self.base_url).hostname == _OPENAI_HOST


def shown_url(url: str) -> str:
    """The address without user, password and query, any of which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def split_reference(reference: str, models: Mapping[str, ModelEntry]) -> tuple[str, str, ModelEntry | None]:
    """Provider, model and, for an alias, its entry. The provider is a known one.

    Raises:
        UnsupportedProviderError: neither an alias nor a provider that we speak.
    """
    entry = models.get(reference)
    provider, _, model = (reference if entry is None else entry.use).partition(":")
    if provider not in (*WIRES, SCRIPTED):
        raise _unknown(reference, provider, models, is_alias=entry is not None)
    return provider, model, entry


def _unknown(
    reference: str, provider: str, models: Mapping[str, ModelEntry], *, is_alias: bool
) -> UnsupportedProviderError:
    known = [*(f"{name}:…" for name in WIRES), SCRIPTED, *models]
    near = get_close_matches(provider, [*WIRES, SCRIPTED, *models], n=1)
    what = (
        f"models.{reference}.use names the provider {provider!r}" if is_alias else f"no model {reference!r}"
    )
    guess = f"did you mean {near[0]!r}? " if near else ""
    return UnsupportedProviderError(
        f"{what}; known are: {', '.join(known)}", hint=f"{guess}a model is provider:model"
    )


def resolve_target(reference: str, models: Mapping[str, ModelEntry], environ: Mapping[str, str]) -> Target:
    """The target of a reference that is not a scripted one.

    Raises:
        UnsupportedProviderError: no such provider or alias, or no model is named.
        MissingApiKeyError: the key is not set.
    """
    name, model, found = split_reference(reference, models)
    provider = cast(ApiProvider, name)
    entry = found or ModelEntry(use=reference)
    base_url = entry.base_url or environ.get(_ADDRESS_VARIABLES[provider]) or None
    _check_address(reference, base_url)
    if not model and not (provider == "openai-chat" and base_url):
        raise UnsupportedProviderError(f"{reference!r} names no model", hint=f"write {provider}:MODEL")
    target = Target(
        provider=provider,
        model=model,
        api_key="",
        base_url=base_url,
        headers=_headers(entry, reference, environ),
        max_output_tokens=entry.max_output_tokens,
        extra=entry.extra,
    )
    return _with_key(target, entry, reference=reference, environ=environ)


def _headers(entry: ModelEntry, reference: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    headers = dict(entry.headers)
    for missing in unset(headers, environ):
        raise MissingApiKeyError(
            f"models.{reference}.headers.{missing.key}: {with_names(environ).why_missing(missing.variable)}",
            hint=f"set it, or write ${{{missing.variable}:-a default}}",
        )
    return expand(headers, environ)


def _with_key(target: Target, entry: ModelEntry, *, reference: str, environ: Mapping[str, str]) -> Target:
    variable = name_of_key(entry) or _KEY_VARIABLES[target.provider]
    if entry.api_key_env == "NONE":
        return replace(target, api_key=_NO_KEY)
    if key := environ.get(variable, "").strip():
        _check_key(key, variable)
        return replace(target, api_key=key, key_variable=variable)
    if target.provider == "openai-chat" and not target.is_openai_itself and name_of_key(entry) is None:
        return replace(target, api_key=_NO_KEY)
    if variable not in environ and variable.startswith((FILE, KEYRING)):
        raise MissingApiKeyError(
            f"{reference} needs a key, and {with_names(environ).why_missing(variable)}",
            hint=f"put it there, or mend the key's place in models.{reference}",
        )
    raise MissingApiKeyError(
        f"{reference} needs a key, and {variable} is not set",
        hint=f"set {variable} in the environment of agent-mcp (in a host's config: the `env` of its entry)",
    )


def _check_address(reference: str, base_url: str | None) -> None:
    if base_url is None or _is_address(base_url):
        return
    # Not quoted: it may hold a password.
    raise UnsupportedProviderError(
        f"{reference}: its address is not an http or https URL", hint="write https://host/path as the address"
    )


def _is_address(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and re.match(r"https?://[^/\s]+", url) is not None
    except ValueError:
        return False


def _check_key(key: str, variable: str) -> None:
    """A header takes nothing else, and the error that it would raise shows the key."""
    if re.fullmatch(r"[\x21-\x7e]+", key):
        return
    raise MissingApiKeyError(f"{variable} holds no key: there are characters in it that no key has")
