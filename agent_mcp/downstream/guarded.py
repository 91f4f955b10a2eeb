"""The HTTP clients below the transports: where they may lead, and the token that they show."""

from functools import partial
from typing import Any

import httpx2

from agent_mcp.config.linklocal import LinkLocalError, is_link_local, refuse_link_local
from agent_mcp.config.schema import LoginEntry, ServerEntry
from agent_mcp.downstream.access import Access, Challenge, has_authorization
from agent_mcp.downstream.bearer import Bearer

_MOST_ANSWERS = 2
"""How often one request may be refused and answered: for a token that somebody else got, then for one of our own."""
_OAUTH_SECONDS = 10.0
"""For each request to an authorization server."""


def access_of(server: str, entry: ServerEntry) -> Access | None:
    """The login that a server may want; None where it is a program, or its own headers say who we are."""
    if entry.url is None or has_authorization(entry.headers):
        return None
    new_client = partial(GuardedClient, allow_link_local=entry.allow_link_local, timeout=_OAUTH_SECONDS)
    return Access(server, entry.url, entry.oauth or LoginEntry(), new_client)


class GuardedClient(httpx2.AsyncClient):
    """An HTTP client that makes no connection to a link-local address; the SDK follows redirects to no other host."""

    def __init__(self, *, allow_link_local: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._allow_link_local = allow_link_local

    async def send(self, request: httpx2.Request, *args: Any, **options: Any) -> httpx2.Response:
        """Send, with a look at where the connection leads.

        Raises:
            LinkLocalError: to where it must not; nothing was sent.
        """
        if not self._allow_link_local:
            # Behind a proxy no connection of ours shows where it leads, but an address as such does.
            if is_link_local(request.url.host):
                raise LinkLocalError(request.url.host)
            request.extensions["trace"] = refuse_link_local
        return await super().send(request, *args, **options)


class BearerClient(GuardedClient):
    """An HTTP client that shows a token, and gets another when the server wants one."""

    def __init__(self, *, bearer: Bearer | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._bearer = bearer

    async def send(self, request: httpx2.Request, *args: Any, **options: Any) -> httpx2.Response:
        """Send, again if the server refused the token and there is a better one.

        Raises:
            UnavailableError: there is none, and what to do about it.
        """
        if self._bearer is None:
            return await super().send(request, *args, **options)
        for _ in range(_MOST_ANSWERS):
            used = await self._bearer.attach(request)
            response = await super().send(request, *args, **options)
            challenge = Challenge.of(response)
            if challenge is None:
                return response
            await response.aclose()
            await self._bearer.answer(challenge, used)
        await self._bearer.attach(request)
        return await super().send(request, *args, **options)
