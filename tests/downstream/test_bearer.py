"""Servers behind HTTP that want a login, as a turn meets them: with no browser and no person."""

import logging
from http import HTTPStatus
from pathlib import Path

import anyio
import httpx2
import pytest

from agent_mcp.config.schema import LoginEntry, ServerEntry
from agent_mcp.downstream.access import Access, Challenge
from agent_mcp.downstream.bearer import Bearer
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.guarded import access_of
from agent_mcp.downstream.login import log_in
from agent_mcp.downstream.vault import Record, Vault
from tests.downstream.conftest import ask, hub_of, scope
from tests.support.authority import Authority, browse, open_authority

pytestmark = pytest.mark.anyio

MACHINE = LoginEntry(client_id="robot", client_secret="robot-secret", grant="client_credentials")


def access_to(authority: Authority, login: LoginEntry | None = None) -> Access:
    """The access of a server `docs`."""
    access = access_of("docs", ServerEntry(url=authority.url, oauth=login))
    assert access is not None
    return access


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*") if file.suffix == ".json"]


async def logged_in(authority: Authority) -> Access:
    """The access, with a person's login, after the server has said what it wants."""
    access = access_to(authority)
    await outcome(authority)
    await log_in(access, browse, patience_seconds=5)
    authority.asked.clear()
    return access


def _nothing(token: str) -> None:
    return


async def outcome(authority: Authority, login: LoginEntry | None = None) -> str:
    """What a turn's call brings, or what the turn is told of the server."""
    async with hub_of(docs=ServerEntry(url=authority.url, oauth=login, era="legacy")) as hub:
        toolbox = await hub.open_toolbox(scope("docs"))
        return toolbox.warnings[0] if toolbox.warnings else (await ask(toolbox, "docs__read")).text


async def test_a_server_that_wants_a_login_is_down_with_the_way_out() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            warning = await outcome(authority)
    assert warning.startswith("server docs is down: HTTP 401 Unauthorized: it needs a login")
    assert "run `agent-mcp login docs`" in warning
    assert {asked.path for asked in authority.asked} == {"/mcp"}


async def test_over_the_older_transport_it_is_down_in_the_same_way() -> None:
    with anyio.fail_after(10):
        async with (
            open_authority() as authority,
            hub_of(docs=ServerEntry(type="sse", url=authority.url)) as hub,
        ):
            (warning,) = (await hub.open_toolbox(scope("docs"))).warnings
    assert "run `agent-mcp login docs`" in warning


async def test_a_token_of_the_config_is_what_is_sent_and_nothing_else_is_tried(logins: Path) -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            entry = ServerEntry(url=authority.url, headers={"authorization": "Bearer wrong"}, era="legacy")
            async with hub_of(docs=entry) as hub:
                (warning,) = (await hub.open_toolbox(scope("docs"))).warnings
    assert "headers" in warning
    assert "login" not in warning
    assert _files(logins) == []


async def test_a_login_is_used_and_an_old_token_refreshed_without_anybody() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            await logged_in(authority)
            assert await outcome(authority) == "read"
            assert authority.at("/token") == []
            authority.granted.clear()
            assert await outcome(authority) == "read"
            (refresh,) = authority.at("/token")
            assert await outcome(authority) == "read"
            assert len(authority.at("/token")) == 1
    assert refresh.form["grant_type"] == "refresh_token"
    assert refresh.form["resource"] == authority.url


async def test_many_who_refresh_at_once_ask_once_and_all_go_on() -> None:
    answered: list[str | None] = []
    with anyio.fail_after(15):
        async with open_authority() as authority:
            access = await logged_in(authority)
            authority.granted.clear()

            async def refresh() -> None:
                bearer, request = Bearer(access, _nothing), httpx2.Request("POST", access.url)
                used = await bearer.attach(request)
                await bearer.answer(Challenge(), used)
                answered.append(await bearer.attach(request))

            async with anyio.create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(refresh)
    assert len(authority.at("/token")) == 1
    assert set(answered) == set(authority.granted)
    assert (await Vault(authority.url).read()).access_token in authority.granted


async def test_a_refresh_that_is_cancelled_is_kept_all_the_same() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            access = await logged_in(authority)
            authority.granted.clear()
            bearer = Bearer(access, _nothing)
            used = await bearer.attach(httpx2.Request("POST", access.url))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bearer.answer, Challenge(), used)
                while not authority.at("/token"):
                    await anyio.sleep(0.001)
                tasks.cancel_scope.cancel()
    assert (await Vault(authority.url).read()).access_token in authority.granted


async def test_a_refresh_token_that_is_no_longer_taken_needs_a_person() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            await logged_in(authority)
            authority.granted.clear()
            authority.refreshable.clear()
            assert "run `agent-mcp login docs`" in await outcome(authority)


async def test_an_authorization_server_in_trouble_costs_no_login() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            await logged_in(authority)
            authority.granted.clear()
            authority.token_status = HTTPStatus.SERVICE_UNAVAILABLE
            warning = await outcome(authority)
            authority.token_status = HTTPStatus.OK
            assert await outcome(authority) == "read"
    assert "could not be refreshed: HTTP 503" in warning
    assert "agent-mcp login" not in warning


async def test_a_server_that_refuses_every_token_is_not_asked_for_ever() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            await logged_in(authority)
            authority.granted = _Refusing()
            warning = await outcome(authority)
            assert await outcome(authority, MACHINE) != "read"
    assert "run `agent-mcp login docs`" in warning
    assert len(authority.at("/token")) < 10


class _Refusing(dict[str, str]):
    def get(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None


async def test_a_call_that_wants_more_rights_says_so_and_the_next_login_asks_for_both() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            access = await logged_in(authority)
            authority.call_scope = "write"
            told = await outcome(authority)
            await log_in(access, browse, patience_seconds=5)
            asked = authority.at("/authorize")[-1].form["scope"]
            authority.call_scope = "read write"
            assert await outcome(authority) == "read"
    assert "it wants more rights (write): run `agent-mcp login docs`" in told
    assert asked == "read write"


async def test_a_machine_logs_in_by_itself_and_keeps_nothing(logins: Path) -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            assert await outcome(authority, MACHINE) == "read"
            (token,) = authority.at("/token")
    assert token.form["grant_type"] == "client_credentials"
    assert token.form["scope"] == "read"
    assert token.headers["authorization"].startswith("Basic ")
    assert _files(logins) == []


async def test_a_secret_goes_to_no_other_authorization_server_than_the_one_of_the_config() -> None:
    login = MACHINE.model_copy(update={"issuer": "https://login.example.org"})
    with anyio.fail_after(10):
        async with open_authority() as authority:
            warning = await outcome(authority, login)
    assert "https://login.example.org" in warning
    assert authority.at("/token") == []


async def test_a_machine_that_is_granted_less_than_is_wanted_gives_up() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            bearer = Bearer(access_to(authority, MACHINE), _nothing)
            request = httpx2.Request("POST", authority.url)
            await bearer.answer(Challenge(scope="write"), await bearer.attach(request))
            used = await bearer.attach(request)
            with pytest.raises(UnavailableError, match="the very scope"):
                await bearer.answer(Challenge(wants_more=True, scope="write"), used)
            with pytest.raises(UnavailableError, match="made for it"):
                await bearer.answer(Challenge(), used)


async def test_no_token_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    # As `observability.logging` has it at its most talkative.
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.DEBUG, logger="agent_mcp")
    with anyio.fail_after(10):
        async with open_authority() as authority:
            await logged_in(authority)
            authority.granted.clear()
            assert await outcome(authority) == "read"
            authority.granted.clear()
            authority.refreshable.clear()
            await outcome(authority)
            await outcome(authority, MACHINE)
    for secret in ("access-", "refresh-", "code-", "robot-secret"):
        assert secret not in caplog.text


async def test_a_record_of_nothing_is_not_refreshed() -> None:
    async with open_authority() as authority:
        vault = Vault(authority.url)
        async with vault.locked():
            await vault.write(Record(tokens={"access_token": "old"}))
        assert "run `agent-mcp login docs`" in await outcome(authority)
    assert authority.at("/token") == []


async def test_a_server_that_repeats_our_token_does_not_bring_it_out() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            await logged_in(authority)
            authority.repeats = True
            told = await outcome(authority)
    assert told == "you are ***"
