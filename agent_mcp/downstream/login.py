"""A person logs in to a server behind HTTP, and out again. What is printed is the caller's business."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import anyio
from mcp.client.auth import AuthorizationCodeResult

from agent_mcp.downstream.access import Access, Challenge
from agent_mcp.downstream.faults import UnavailableError, leaf_of
from agent_mcp.downstream.loopback import Loopback, open_loopback
from agent_mcp.downstream.oauth import granted, revoke
from agent_mcp.downstream.oauth_clients import Visit
from agent_mcp.downstream.vault import Record

_log = logging.getLogger(__name__)

_REVOKE_SECONDS = 10.0

Show = Callable[[str], Awaitable[None]]
"""Brings a person to a URL."""


async def log_in(access: Access, show: Show, *, patience_seconds: float) -> None:
    """Have a person log in, and keep what comes of it for all processes.

    Asks for what the server wanted when it refused last.

    Raises:
        UnavailableError: why there is no login.
    """
    vault = access.vault()
    record = await vault.read()
    challenge = Challenge.from_json(record.challenge)
    by_hand = access.login.callback_port is not None
    try:
        async with open_loopback(_port(access, record), is_registered=by_hand) as loopback:
            visit = _visit(access, loopback, show, patience_seconds)
            new = await granted(access, record, challenge, visit)
    except ExceptionGroup as group:
        # The listener's task group wraps what is raised inside of it.
        raise leaf_of(group) from group
    async with vault.locked():
        await vault.write(new)


async def log_out(access: Access) -> bool:
    """Forget the login, and have the server's tokens revoked where it offers that; False if there was none.

    Raises:
        UnavailableError: it could not be forgotten.
    """
    vault = access.vault()
    async with vault.locked():
        record = await vault.read()
        await vault.forget()
    with anyio.move_on_after(_REVOKE_SECONDS):
        try:
            await revoke(access, record)
        except UnavailableError as error:
            _log.warning(
                "server %s: its token is forgotten, but could not be revoked: %s", access.server, error
            )
    return record.tokens is not None


def _port(access: Access, record: Record) -> int | None:
    """The one of the config, else the one that an earlier login registered: many servers take no other."""
    if access.login.callback_port is not None:
        return access.login.callback_port
    for uri in (record.client or {}).get("redirect_uris") or ():
        with suppress(ValueError):
            return urlsplit(str(uri)).port
    return None


def _visit(access: Access, loopback: Loopback, show: Show, patience_seconds: float) -> Visit:
    async def bring(url: str) -> None:
        loopback.expect(url)
        await show(url)

    async def answer() -> AuthorizationCodeResult:
        try:
            with anyio.fail_after(patience_seconds):
                return _result(await loopback.answer())
        except TimeoutError as error:
            raise UnavailableError(
                f"nobody logged in within {patience_seconds:g} s: {access.way_out}"
            ) from error

    return Visit(loopback.redirect_uri, bring, answer)


def _result(query: Mapping[str, str]) -> AuthorizationCodeResult:
    if error := query.get("error"):
        why = query.get("error_description", "")
        raise UnavailableError(f"the login was refused: {error}" + (f" ({why})" if why else ""))
    return AuthorizationCodeResult(code=query.get("code", ""), state=query.get("state"), iss=query.get("iss"))
