"""Bearer tokens of the config: compared by their hash, in constant time. What a token was is never kept."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from mcp.server.auth.provider import AccessToken, TokenVerifier

from agent_mcp.config.schema import TokenEntry


@dataclass(frozen=True, slots=True)
class ConfiguredTokens:
    """The port `TokenVerifier` over `server.tokens`; each has every scope, and its name is the principal."""

    entries: Sequence[TokenEntry]
    scopes: Sequence[str] = ()

    async def verify_token(self, token: str) -> AccessToken | None:
        """Who the token's owner is; looks at every entry, so that the time taken tells nothing."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        name: str | None = None
        for entry in self.entries:
            if hmac.compare_digest((entry.token_sha256 or "").lower(), digest):
                name = entry.name
        if name is None:
            return None
        return AccessToken(token="", client_id=name, scopes=list(self.scopes), subject=name)


@dataclass(frozen=True, slots=True)
class FirstThatKnows:
    """The port `TokenVerifier` over several: the first one that takes a token counts."""

    verifiers: Sequence[TokenVerifier]

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the first verifier that takes the token says of it."""
        for verifier in self.verifiers:
            if found := await verifier.verify_token(token):
                return found
        return None
