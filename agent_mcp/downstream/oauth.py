"""How a token is had: the SDK's OAuth client, driven by hand.

The SDK's own way, an `Auth` on the client, holds a lock from request to answer, so that calls would run one after the
other, and knows of no other process. Here its flow is given the server's refusal, its requests are sent by a client of
ours, and what it comes to is a new `Record`. Whose turn it is and where records are kept is not decided here.

Sources: the MCP specification on authorization (2025-11-25 and 2026-07-28), RFC 6749, 7523, 7591, 7636, 8414, 8707,
9728, and the extension `io.modelcontextprotocol/oauth-client-credentials`.
"""

import logging
from collections.abc import Generator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthRegistrationError
from mcp.client.auth.utils import union_scopes
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from agent_mcp.config.schema import LoginEntry
from agent_mcp.downstream.access import Access, Challenge
from agent_mcp.downstream.exchange import send
from agent_mcp.downstream.faults import UnavailableError, reason_of
from agent_mcp.downstream.oauth_clients import Refreshing, Visit, Visiting, to_machine
from agent_mcp.downstream.vault import Record

# It logs with a traceback, and with what servers sent, all that it raises too; it is told here, in a line.
logging.getLogger("mcp.client.auth").setLevel(logging.CRITICAL)

_SHOWN_CHARACTERS = 300


async def refreshed(access: Access, record: Record) -> Record | None:
    """The record with a new token for its refresh token; None if it has none, or the server no longer takes it.

    Raises:
        UnavailableError: the authorization server can't be asked now.
    """
    if not (record.tokens and record.tokens.get("refresh_token") and record.client):
        return None
    with _explained():
        provider = Refreshing(access, record)
        await _drive(access, provider, None)
        return _outcome(access, provider) if provider.context.current_tokens else None


async def granted(access: Access, record: Record, challenge: Challenge, visit: Visit | None = None) -> Record:
    """The record with a token that answers the challenge: with a visit a person's, without one a machine's.

    Raises:
        UnavailableError: why there is none.
    """
    with _explained():
        provider = Visiting(access, record, visit) if visit else to_machine(access)
        await _drive(access, provider, challenge.to_response(_wanted_scope(access.login, record, challenge)))
        return _outcome(access, provider)


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
        context = Refreshing(access, record).load()
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


def _outcome(access: Access, provider: OAuthClientProvider) -> Record:
    context = provider.context
    # A secret of the config stays there, where it can be changed.
    hidden = {"client_secret"} if access.login.client_id else set[str]()
    return Record(
        tokens=_dumped(context.current_tokens),
        client=_dumped(context.client_info, hidden),
        resource=_dumped(context.protected_resource_metadata),
        issuer=_dumped(context.oauth_metadata),
    )


def _dumped(model: Any, hidden: AbstractSet[str] = frozenset()) -> Any:
    return None if model is None else model.model_dump(mode="json", exclude_none=True, exclude=set(hidden))
