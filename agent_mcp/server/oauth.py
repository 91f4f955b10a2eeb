"""Access tokens of an authorization server, as a resource server takes them: JWT signed with the issuer's keys.

The claims are those of RFC 9068; of a token that is refused nobody learns more than that it was.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import jwt
from mcp.server.auth.provider import AccessToken

from agent_mcp.config.schema import OAuthEntry
from agent_mcp.server.jwks import IssuerKeys
from agent_mcp.sessions.ports import Clock

log = logging.getLogger(__name__)

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Asymmetric ones alone: with HS256 anyone could sign with the public key, with `none` anyone at all."""
_LEEWAY_SECONDS = 30
_REQUIRED = ("exp", "iss", "aud", "sub")


class OAuthTokens:
    """The port `TokenVerifier` over `server.oauth`; a token's issuer and subject are the principal."""

    def __init__(self, oauth: OAuthEntry, *, clock: Clock) -> None:
        self._oauth = oauth
        self._keys = IssuerKeys(oauth.issuer, jwks_url=oauth.jwks_url, clock=clock)

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the token says, if it is good; scopes are looked at by who asks.

        Raises:
            IssuerUnavailableError: the issuer's keys can't be had.
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return None
        if header.get("alg") not in ALGORITHMS:
            return None
        key = await self._keys.find(header.get("kid"))
        if key is None:
            log.info("a token was refused: it names no key of the issuer")
            return None
        try:
            claims = self._claims(token, key)
        except jwt.PyJWTError as error:
            log.info("a token was refused: %s", type(error).__name__)
            return None
        # Whoever had no name would share the sessions of all others without one.
        return _access(claims) if claims["sub"] else None

    def _claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        return jwt.decode(
            token,
            key,
            # A key may be used with its own algorithm alone.
            algorithms=[key.algorithm_name],
            audience=self._oauth.audience,
            issuer=self._oauth.issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": list(_REQUIRED)},
        )


def _access(claims: Mapping[str, Any]) -> AccessToken:
    # No configured token's name has a colon, so nobody is taken for somebody else.
    return AccessToken(
        token="",
        client_id=f"oauth:{claims['iss']} {claims['sub']}",
        scopes=_scopes(claims),
        expires_at=int(claims["exp"]) + _LEEWAY_SECONDS,
        subject=claims["sub"],
        claims={"iss": claims["iss"]},
    )


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """RFC 8693 §4.2 has a string with spaces; some issuers send a list, or call it `scp`."""
    match claims.get("scope", claims.get("scp")):
        case str(said):
            return said.split()
        case [*said]:
            return [str(scope) for scope in said]
        case _:
            return []
