"""The public keys of an authorization server: fetched when needed, kept for a while, and never asked for too often.

Where they are is configured, or asked of the issuer's metadata (RFC 8414, OpenID Connect Discovery 1.0).
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx2
from jwt import PyJWK, PyJWTError
from starlette.authentication import AuthenticationError

from agent_mcp.config.linklocal import LinkLocalError, refuse_link_local
from agent_mcp.sessions.ports import Clock

log = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
"""How long keys are used before they are asked for again."""
STALE_SECONDS = 24 * 3600.0
"""How long they are used while the issuer does not answer."""
PAUSE_SECONDS = 10.0
"""Between two requests at least, also when tokens name keys that nobody knows."""
_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 1024 * 1024
_MAX_KEYS = 100


class IssuerUnavailableError(AuthenticationError):
    """The issuer's keys can't be had now, so nothing can be said of any token."""


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(self, issuer: str, *, jwks_url: str | None, clock: Clock) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._clock = clock
        self._keys: Sequence[PyJWK] = ()
        self._fetched_at = -STALE_SECONDS
        self._asked_at = -PAUSE_SECONDS
        self._fetching = anyio.Lock()

    async def find(self, key_id: str | None) -> PyJWK | None:
        """The key of this id, or the only one there is where a token names none; None if there is none.

        Raises:
            IssuerUnavailableError: there are no keys, and none can be had.
        """
        if self._age() > FRESH_SECONDS or self._known(key_id) is None:
            await self._refresh(key_id)
        if self._age() > STALE_SECONDS:
            raise IssuerUnavailableError(self._issuer)
        return self._known(key_id)

    def _known(self, key_id: str | None) -> PyJWK | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == key_id), None)

    def _age(self) -> float:
        return self._clock.monotonic() - self._fetched_at

    async def _refresh(self, key_id: str | None) -> None:
        async with self._fetching:
            if self._age() <= FRESH_SECONDS and self._known(key_id) is not None:
                return  # Whoever held the lock before has fetched it.
            if self._clock.monotonic() - self._asked_at < PAUSE_SECONDS:
                return
            self._asked_at = self._clock.monotonic()
            try:
                self._keys = await self._fetch()
            except (httpx2.HTTPError, httpx2.InvalidURL, LinkLocalError, ValueError) as error:
                log.warning("the keys of %s can't be had: %s", self._issuer, error or type(error).__name__)
                return
            self._fetched_at = self._clock.monotonic()

    async def _fetch(self) -> Sequence[PyJWK]:
        async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
            if self._jwks_url is None:
                self._jwks_url = await self._discover(client)
            document = await _json_object(client, self._jwks_url)
        return list(_signing_keys(document))

    async def _discover(self, client: httpx2.AsyncClient) -> str:
        for url in metadata_urls(self._issuer):
            try:
                document = await _json_object(client, url)
            except (httpx2.HTTPStatusError, ValueError):
                continue
            # RFC 8414 §3.3: metadata that names another issuer must not be used.
            if document.get("issuer") == self._issuer and isinstance(document.get("jwks_uri"), str):
                return document["jwks_uri"]
        raise ValueError("its metadata names no jwks_uri; give server.oauth.jwks_url")


def metadata_urls(issuer: str) -> Sequence[str]:
    """Where an issuer's metadata may lie: RFC 8414 §3.1 puts the path last, OpenID Connect the document."""
    parts = urlsplit(issuer)
    root, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return (
        f"{root}/.well-known/oauth-authorization-server{path}",
        f"{root}{path}/.well-known/openid-configuration",
    )


async def _json_object(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    body = bytearray()
    headers, extensions = {"Accept": "application/json"}, {"trace": refuse_link_local}
    async with client.stream("GET", url, headers=headers, extensions=extensions) as response:
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise ValueError(f"{url} answers with more than {_MAX_BYTES} bytes")
    document = httpx2.Response(200, content=bytes(body)).json()
    if not isinstance(document, dict):
        raise ValueError(f"{url} answers with no JSON object")
    return cast("dict[str, Any]", document)


def _signing_keys(document: dict[str, Any]) -> Iterator[PyJWK]:
    """Public keys for signatures; a symmetric one must never be taken from a public document."""
    listed: list[Any] = document.get("keys") or []
    for entry in listed[:_MAX_KEYS]:
        if not isinstance(entry, dict):
            continue
        data = cast("dict[str, Any]", entry)
        if data.get("kty") == "oct" or data.get("use", "sig") != "sig":
            continue
        try:
            yield PyJWK.from_dict(data)
        except PyJWTError as error:
            log.info("a key of the issuer is left out: %s", error)
