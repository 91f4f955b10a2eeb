"""What a login to a server behind HTTP is about: which server, how the config says to log in, and what it asked for.

Pure data; sends nothing and keeps nothing.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from agent_mcp.config.schema import LoginEntry
from agent_mcp.downstream.vault import Vault
from agent_mcp.downstream.wire import JsonObject

NewClient = Callable[[], httpx2.AsyncClient]
"""Makes the client for what is asked of authorization servers; it obeys the server's own rules on addresses."""

AUTHORIZATION = "authorization"
_INSUFFICIENT = "insufficient_scope"
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
"""`auth-param` of RFC 9110 §11.2."""


@dataclass(frozen=True, slots=True)
class Access:
    """A server that may want a login, and how the config says to log in."""

    server: str
    url: str
    login: LoginEntry
    new_client: NewClient

    @property
    def is_machine(self) -> bool:
        """Whether nobody is needed to log in."""
        return self.login.grant == "client_credentials"

    @property
    def way_out(self) -> str:
        """What a person has to do."""
        return f"run `agent-mcp login {shlex.quote(self.server)}`"

    def vault(self) -> Vault:
        """Where its login is kept."""
        return Vault(self.url, self.login.client_id)


def has_authorization(headers: Mapping[str, str]) -> bool:
    """Whether headers of the config say who we are."""
    return any(name.lower() == AUTHORIZATION for name in headers)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server wants to see before it answers: RFC 6750 §3, RFC 9728 §5.1."""

    status: str = "HTTP 401 Unauthorized"
    wants_more: bool = False
    """Whether there was a token, and it does not allow enough."""
    scope: str | None = None
    """Names with spaces between them."""
    resource_metadata: str | None = None
    """A URL."""

    @classmethod
    def of(cls, response: httpx2.Response) -> "Challenge | None":
        """What a response asks for; None where another token would not help."""
        header = response.headers.get("www-authenticate", "")
        said = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(header)}
        wants_more = said.get("error") == _INSUFFICIENT and response.status_code == HTTPStatus.FORBIDDEN
        if not wants_more and response.status_code != HTTPStatus.UNAUTHORIZED:
            return None
        status = f"HTTP {response.status_code} {HTTPStatus(response.status_code).phrase}"
        return cls(status, wants_more, said.get("scope"), said.get("resource_metadata"))

    @classmethod
    def from_json(cls, data: JsonObject | None) -> "Challenge":
        """The one that `to_json` made; an empty one from anything else."""
        kept = {name: value for name, value in (data or {}).items() if isinstance(value, str)}
        status, wants_more = (
            ("HTTP 403 Forbidden", True) if kept.get("error") == _INSUFFICIENT else ("", False)
        )
        return cls(status or cls().status, wants_more, kept.get("scope"), kept.get("resource_metadata"))

    def to_json(self) -> JsonObject:
        """As a record keeps it."""
        error = _INSUFFICIENT if self.wants_more else None
        whole = {"error": error, "scope": self.scope, "resource_metadata": self.resource_metadata}
        return {name: value for name, value in whole.items() if value}

    @property
    def wish(self) -> str:
        """What is wanted of a person, in words."""
        return f"it wants more rights ({self.scope or 'scope'})" if self.wants_more else "it needs a login"

    @property
    def other_way_out(self) -> str:
        """What else may help: many servers that say nothing of OAuth want a token that was made by hand."""
        return "" if self.wants_more or self.resource_metadata else ", or put its token into `headers`"

    def is_within(self, granted: str | None) -> bool:
        """Whether the scope that it asks for was granted already."""
        return bool(self.scope) and set((self.scope or "").split()) <= set((granted or "").split())

    def is_worth_more_than(self, kept: JsonObject | None) -> bool:
        """Whether it says what the kept one does not; a plain 401 never takes the place of a wish for more."""
        new = self.to_json()
        return bool(new) and new != kept and (self.wants_more or "error" not in (kept or {}))

    def to_response(self, scope: str | None) -> httpx2.Response:
        """A 401 that asks for `scope`, in the form that the SDK reads."""
        said = {"resource_metadata": self.resource_metadata, "scope": scope}
        parameters = ", ".join(
            f'{name}="{value.replace(chr(34), "")}"' for name, value in said.items() if value
        )
        return httpx2.Response(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": f"Bearer {parameters}"})
