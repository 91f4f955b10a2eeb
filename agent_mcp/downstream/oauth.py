"""How a token is had: the SDK's OAuth client, driven by hand.

The SDK's own way, an `Auth` on the client, holds a lock from request to answer, so that calls would run one after the
other, and knows of no other process. Here its flow is given the server's refusal, its requests are sent by a client of
ours, and what it comes to is a new `Record`. Whose turn it is and where records are kept is not decided here.

Sources: the MCP specification on authorization (2025-11-25 and 2026-07-28), RFC 6749, 7523, 7591, 7636, 8414, 8707,
9728, and the extension `io.modelcontextprotocol/oauth-client-credentials`.
"""

import logging
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2
from mcp.client.auth import (
    AuthorizationCodeResult,
    OAuthClientProvider,
    OAuthFlowError,
    OAuthRegistrationError,
)
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.oauth2 import OAuthContext
from mcp.client.auth.utils import is_valid_client_metadata_url, union_scopes
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import AnyUrl

from agent_mcp.config.schema import LoginEntry
from agent_mcp.downstream.access import Access, Challenge
from agent_mcp.downstream.exchange import send
from agent_mcp.downstream.faults import UnavailableError, reason_of
from agent_mcp.downstream.vault import Record

# It logs with a traceback, and with what servers sent, all that it raises too; it is told here, in a line.
logging.getLogger("mcp.client.auth").setLevel(logging.CRITICAL)

_CLIENT_NAME = "agent-mcp"
_LONG_AGO = 1.0
_SHOWN_CHARACTERS = 300
_SECRET_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Visit:
    """A person's way to the authorization server and back."""

    redirect_uri: str
    show: Callable[[str], Awaitable[None]]
    """Brings the person to a URL."""
    answer: Callable[[], Awaitable[AuthorizationCodeResult]]
    """Waits for what the browser brings back."""


async def refreshed(access: Access, record: Record) -> Record | None:
    """The record with a new token for its refresh token; None if it has none, or the server no longer takes it.

    Raises:
        UnavailableError: the authorization server can't be asked now.
    """
    if not (record.tokens and record.tokens.get("refresh_token") and record.client):
        return None
    with _explained():
        provider = _Refreshing(access, record)
        await _drive(access, provider, None)
        return _outcome(provider) if provider.context.current_tokens else None


async def granted(access: Access, record: Record, challenge: Challenge, visit: Visit | None = None) -> Record:
    """The record with a token that answers the challenge: with a visit a person's, without one a machine's.

    Raises:
        UnavailableError: why there is none.
    """
    with _explained():
        provider = _Visiting(access, record, visit) if visit else _machine(access)
        await _drive(access, provider, challenge.to_response(_wanted_scope(access.login, record, challenge)))
        return _outcome(provider)


async def revoke(access: Access, record: Record) -> None:
    """Have the tokens of a record revoked, where the authorization server offers that: RFC 7009.

    Raises:
        UnavailableError: it could not be asked, or refused.
    """
    endpoint = (record.issuer or {}).get("revocation_endpoint")
    token = (record.tokens or {}).get("refresh_token") or record.access_token
    if not endpoint or not token or not record.client:
        return
    with _explained():
        context = _Refreshing(access, record).load()
        said = {"token": str(token), "client_id": str(record.client.get("client_id"))}
        data, headers = context.prepare_token_auth(said, {})
        request = httpx2.Request("POST", str(endpoint), data=data, headers=headers)
        async with access.new_client() as client:
            (await send(client, request, server_url=access.url)).raise_for_status()


@contextmanager
def _explained() -> Generator[None]:
    """What goes wrong in the SDK, in a line; of what it could not read, the values are left out."""
    try:
        yield
    except OAuthRegistrationError as error:
        reason = reason_of(error).partition("[type=")[0][:_SHOWN_CHARACTERS]
        hint = "register agent-mcp there by hand, and write the id that it gets as `oauth.client_id`"
        raise UnavailableError(f"it takes no client that registers itself: {reason}: {hint}") from error
    except (OAuthFlowError, httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        reason = reason_of(error).partition("[type=")[0][:_SHOWN_CHARACTERS]
        raise UnavailableError(f"its login failed: {reason}") from error


def _wanted_scope(login: LoginEntry, record: Record, challenge: Challenge) -> str | None:
    """What to ask for; None leaves it to what the server's metadata says.

    More rights are asked for together with those that are there: SEP-2350.
    """
    configured = " ".join(login.scopes) or None
    if challenge.wants_more:
        return union_scopes(configured or record.scope, challenge.scope)
    return configured or challenge.scope


async def _drive(access: Access, provider: OAuthClientProvider, refusal: httpx2.Response | None) -> None:
    """Run the SDK's flow up to the point where the refused request would be sent again.

    Without a refusal it ends where the flow has no more to do by itself.
    """
    headers = {MCP_PROTOCOL_VERSION_HEADER: LATEST_HANDSHAKE_VERSION}
    refused = httpx2.Request("POST", access.url, headers=headers)
    flow = provider.async_auth_flow(refused)
    try:
        async with access.new_client() as client:
            outgoing = await anext(flow)
            for answer in (None, refusal):
                outgoing = outgoing if answer is None else await flow.asend(answer)
                while outgoing is not refused:
                    outgoing = await flow.asend(await send(client, outgoing, server_url=access.url))
    finally:
        await flow.aclose()


def _outcome(provider: OAuthClientProvider) -> Record:
    context = provider.context
    return Record(
        tokens=_dumped(context.current_tokens),
        client=_dumped(context.client_info),
        resource=_dumped(context.protected_resource_metadata),
        issuer=_dumped(context.oauth_metadata),
    )


def _dumped(model: Any) -> Any:
    return None if model is None else model.model_dump(mode="json", exclude_none=True)


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


class _Refreshing(OAuthClientProvider):
    """Knows what the record knows, and that its token is no longer good."""

    def __init__(self, access: Access, record: Record) -> None:
        super().__init__(access.url, OAuthClientMetadata(redirect_uris=None), _Nowhere())
        self._record = record

    async def _initialize(self) -> None:
        self.load()
        self._initialized = True

    def load(self) -> OAuthContext:
        """Fill the SDK's state from the record."""
        record, context = self._record, self.context
        context.current_tokens = OAuthToken.model_validate(record.tokens)
        context.token_expiry_time = _LONG_AGO
        context.client_info = OAuthClientInformationFull.model_validate(record.client)
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


class _Visiting(OAuthClientProvider):
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


def _machine(access: Access) -> OAuthClientProvider:
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
