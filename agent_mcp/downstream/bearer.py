"""The token that our HTTP client shows to a server whose entry gives it none.

Sends the one that is kept, and when the server wants another sees to it: one that somebody else got meanwhile, a
refreshed one, one for a machine's own credentials. What a person must do it leaves to `agent-mcp login`. Knows nothing
of how a token is had; `oauth` does, and is imported only when a server has refused.
"""

from collections.abc import Callable
from dataclasses import replace

import anyio
import httpx2

from agent_mcp.downstream.access import AUTHORIZATION, Access, Challenge
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.vault import Record

_RENEW_SECONDS = 20.0

Learn = Callable[[str], None]
"""Told of each token that is sent, so that the server's own words do not bring it out."""


class Bearer:
    """The token for one server, as long as a client lives."""

    def __init__(self, access: Access, learn: Learn) -> None:
        self._access = access
        self._learn = learn
        self._vault = access.vault()
        self._record: Record | None = None
        self._answering = anyio.Lock()
        self._newest: str | None = None
        """The last one that was got here: if that is refused, getting another helps nothing."""

    async def attach(self, request: httpx2.Request) -> str | None:
        """Put the token on a request, if there is one; the token."""
        if self._record is None:
            nothing = self._access.is_machine or self._vault.is_empty()
            self._record = Record() if nothing else await self._vault.read()
        token = self._record.access_token
        if token is not None:
            self._learn(token)
            request.headers[AUTHORIZATION] = f"Bearer {token}"
        return token

    async def answer(self, challenge: Challenge, used: str | None) -> None:
        """Have another token than the one that was refused.

        Raises:
            UnavailableError: there is none, and what to do about it.
        """
        async with self._answering:
            if self._record is not None and self._record.access_token != used:
                return
            renew = self._renew_alone if self._access.is_machine else self._renew_shared
            try:
                # Shielded: a refresh token is spent by asking, and the answer must not be lost.
                with anyio.fail_after(_RENEW_SECONDS, shield=True):
                    self._record = await renew(challenge, used)
            except TimeoutError as error:
                raise UnavailableError("its authorization server gave no answer in time") from error

    async def _renew_shared(self, challenge: Challenge, used: str | None) -> Record:
        """For a person's login, which all processes share."""
        from agent_mcp.downstream.oauth import refreshed

        async with self._vault.locked():
            record = await self._vault.read()
            if record.access_token not in (None, used):
                return record
            _check_hope(record, challenge)
            is_spent = challenge.wants_more or used == self._newest
            found = None if is_spent else await refreshed(self._access, record)
            if found is None:
                await self._remember(record, challenge)
                way_out = self._access.way_out + challenge.other_way_out
                raise UnavailableError(f"{challenge.status}: {challenge.wish}: {way_out}")
            await self._vault.write(found)
        self._newest = found.access_token
        return found

    async def _renew_alone(self, challenge: Challenge, used: str | None) -> Record:
        """With the credentials of a machine: each process has its own token, and nothing is kept."""
        from agent_mcp.downstream.oauth import granted

        record = self._record or Record()
        _check_hope(record, challenge)
        if used is not None and used == self._newest and not challenge.wants_more:
            raise UnavailableError(f"{challenge.status}: it refuses the token that was made for it")
        found = await granted(self._access, record, challenge)
        self._newest = found.access_token
        return found

    async def _remember(self, record: Record, challenge: Challenge) -> None:
        """For `agent-mcp login`, which can't make the server ask the same again."""
        if challenge.is_worth_more_than(record.challenge):
            await self._vault.write(replace(record, challenge=challenge.to_json()))


def _check_hope(record: Record, challenge: Challenge) -> None:
    """Never ask again for a scope that was just given, or the two of us would go on for ever."""
    if challenge.wants_more and challenge.is_within(record.scope):
        raise UnavailableError(f"{challenge.status}: it refuses a token of the very scope that it asks for")
