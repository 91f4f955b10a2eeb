"""The SDK's OAuth clients as we need them: each knows its server from a record or the config, and stores nothing.

Which one is wanted, and what becomes of what it comes to, is the business of `oauth`.
"""

import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.oauth2 import OAuthContext
from mcp.client.auth.utils import is_valid_client_metadata_url
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from mcp.shared.exceptions import MCPDeprecationWarning
from pydantic import AnyUrl

from agent_mcp.config.schema import LoginEntry
from agent_mcp.downstream.access import Access
from agent_mcp.downstream.vault import Record

_CLIENT_NAME = "agent-mcp"
_LONG_AGO = 1.0
_SECRET_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Visit:
    """A person's way to the authorization server and back."""

    redirect_uri: str
    show: Callable[[str], Awaitable[None]]
    """Brings the person to a URL."""
    answer: Callable[[], Awaitable[AuthorizationCodeResult]]
    """Waits for what the browser brings back."""


class _Nowhere:
    """The SDK's port for storage: what it comes to is read from its context instead."""

    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        return

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        return


class Refreshing(OAuthClientProvider):
    """Knows what the record knows, and that its token is no longer good."""

    def __init__(self, access: Access, record: Record) -> None:
        super().__init__(access.url, OAuthClientMetadata(redirect_uris=None), _Nowhere())
        self._record = record
        self._login = access.login

    async def _initialize(self) -> None:
        self.load()
        self._initialized = True

    def load(self) -> OAuthContext:
        """Fill the SDK's state from the record."""
        record, context = self._record, self.context
        context.current_tokens = OAuthToken.model_validate(record.tokens)
        context.token_expiry_time = _LONG_AGO
        context.client_info = _client_of(record, self._login)
        if record.resource:
            context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(record.resource)
        if record.issuer:
            context.oauth_metadata = OAuthMetadata.model_validate(record.issuer)
        return context

    async def _handle_refresh_response(self, response: httpx2.Response) -> bool:
        # A server in trouble has not refused: the refresh token is still good.
        if response.is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise OAuthFlowError(f"the token could not be refreshed: HTTP {response.status_code}")
        return await super()._handle_refresh_response(response)


class Visiting(OAuthClientProvider):
    """A person logs in; the registration of an earlier login is used again."""

    def __init__(self, access: Access, record: Record, visit: Visit) -> None:
        login = access.login
        document = login.client_id if is_valid_client_metadata_url(login.client_id) else None
        metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(visit.redirect_uri)], client_name=_CLIENT_NAME)
        super().__init__(
            access.url, metadata, _Nowhere(), visit.show, visit.answer, client_metadata_url=document
        )
        self._known = _known_client(login, record, visit) if document is None else None

    async def _initialize(self) -> None:
        self.context.client_info = self._known
        self._initialized = True

    async def _perform_authorization(self) -> httpx2.Request:
        # RFC 7591 §2: a secret without a method goes by HTTP Basic, unless the server does not take that.
        client, metadata = self.context.client_info, self.context.oauth_metadata
        if client and client.client_secret and client.token_endpoint_auth_method is None:
            taken = (metadata and metadata.token_endpoint_auth_methods_supported) or _SECRET_METHODS
            method = next((each for each in _SECRET_METHODS if each in taken), _SECRET_METHODS[0])
            self.context.client_info = client.model_copy(update={"token_endpoint_auth_method": method})
        return await super()._perform_authorization()


def _client_of(record: Record, login: LoginEntry) -> OAuthClientInformationFull:
    """The client of a record; its secret is not in there if the config has it."""
    client = OAuthClientInformationFull.model_validate(record.client)
    return client.model_copy(update={"client_secret": login.client_secret}) if login.client_id else client


def _known_client(login: LoginEntry, record: Record, visit: Visit) -> OAuthClientInformationFull | None:
    """The client of the config, else the one that registered itself earlier with this very redirect."""
    if login.client_id is not None:
        return OAuthClientInformationFull(
            client_id=login.client_id,
            client_secret=login.client_secret,
            redirect_uris=[AnyUrl(visit.redirect_uri)],
            issuer=login.issuer,
        )
    if record.client is None or visit.redirect_uri not in (record.client.get("redirect_uris") or ()):
        return None
    return OAuthClientInformationFull.model_validate(record.client)


def to_machine(access: Access) -> OAuthClientProvider:
    """Credentials that need nobody; the config has seen to it that they are whole."""
    login, storage = access.login, _Nowhere()
    client_id = login.client_id or ""
    with warnings.catch_warnings():
        # Without `issuer` the server names the one that is shown the secret; who wrote both into one entry trusts it.
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        if login.private_key is None:
            return ClientCredentialsOAuthProvider(
                access.url, storage, client_id, login.client_secret or "", issuer=login.issuer
            )
        signing = SignedJWTParameters(
            issuer=client_id,
            subject=client_id,
            signing_key=login.private_key,
            signing_algorithm=_algorithm_of(login.private_key),
        )
        assertion = signing.create_assertion_provider()
        return PrivateKeyJWTOAuthProvider(access.url, storage, client_id, assertion, issuer=login.issuer)


def _algorithm_of(private_key: str) -> str:
    """The usual algorithm for a key of its kind: RFC 7518 §3.1, RFC 8037 §3.1."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    match load_pem_private_key(private_key.encode(), None):
        case ec.EllipticCurvePrivateKey() as key:
            return {256: "ES256", 384: "ES384", 521: "ES512"}.get(key.key_size, "ES256")
        case ed25519.Ed25519PrivateKey():
            return "EdDSA"
        case _:
            return "RS256"
