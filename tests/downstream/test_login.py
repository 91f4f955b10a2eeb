"""A person logs in to a server behind HTTP, and out: with a browser that does what it is told, over real HTTP."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx2
import pytest

from agent_mcp.config.schema import LoginEntry, ServerEntry
from agent_mcp.downstream.access import Access
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.guarded import access_of
from agent_mcp.downstream.login import log_in, log_out
from agent_mcp.downstream.vault import Vault
from tests.support.authority import Authority, browse, open_authority

pytestmark = pytest.mark.anyio


def access_to(authority: Authority, login: LoginEntry | None = None) -> Access:
    """The access of a server `docs`."""
    access = access_of("docs", ServerEntry(url=authority.url, oauth=login))
    assert access is not None
    return access


async def failure(access: Access, show: Callable[[str], Awaitable[None]] = browse) -> str:
    """Why there is no login; nothing is kept of it."""
    with anyio.fail_after(10), pytest.raises(UnavailableError) as raised:
        await log_in(access, show, patience_seconds=0.3)
    assert access.vault().is_empty()
    return str(raised.value)


async def test_a_login_registers_once_and_proves_that_the_code_is_ours() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            for _ in range(2):
                await log_in(access_to(authority), browse, patience_seconds=5)
    (registration,) = authority.at("/register")
    first, second = (asked.form for asked in authority.at("/authorize"))
    assert '"client_name":"agent-mcp"' in registration.body
    assert first["redirect_uri"] == second["redirect_uri"]
    assert first["redirect_uri"].startswith("http://127.0.0.1:")
    assert first["code_challenge_method"] == "S256"
    assert first["resource"] == authority.url
    assert all(asked.form["code_verifier"] for asked in authority.at("/token"))


async def test_a_port_that_is_taken_meanwhile_means_a_new_registration() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            await log_in(access_to(authority), browse, patience_seconds=5)
            port = urlsplit(authority.at("/authorize")[0].form["redirect_uri"]).port
            async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port or 0):
                await log_in(access_to(authority), browse, patience_seconds=5)
    assert len(authority.at("/register")) == 2


async def test_a_client_of_the_config_registers_nothing_and_shows_its_secret() -> None:
    login = LoginEntry(client_id="ours", client_secret="s3cret", scopes=("a", "b"))
    with anyio.fail_after(10):
        async with open_authority() as authority:
            await log_in(access_to(authority, login), browse, patience_seconds=5)
            assert Vault(authority.url).is_empty()
            assert not access_to(authority, login).vault().is_empty()
    asked, (token,) = authority.at("/authorize")[0].form, authority.at("/token")
    assert (asked["client_id"], asked["scope"]) == ("ours", "a b")
    assert token.headers["authorization"].startswith("Basic ")
    assert authority.at("/register") == []


async def test_a_redirect_that_was_registered_by_hand_is_just_that() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with open_authority() as authority:
            access = access_to(authority, LoginEntry(client_id="ours", callback_port=port))
            assert f"port {port} (`oauth.callback_port`) is in use" in await failure(access)
    with anyio.fail_after(10):
        async with open_authority() as authority:
            access = access_to(authority, LoginEntry(client_id="ours", callback_port=port))
            await log_in(access, browse, patience_seconds=5)
    assert authority.at("/authorize")[0].form["redirect_uri"] == f"http://localhost:{port}/callback"


async def test_whoever_says_no_or_nothing_has_no_login() -> None:
    async def look_away(url: str) -> None:
        return

    async with open_authority() as authority:
        access = access_to(authority)
        assert "nobody logged in within 0.3 s: run `agent-mcp login docs`" in await failure(access, look_away)
        authority.denies = True
        assert "the login was refused: access_denied (not today)" in await failure(access)


async def test_an_answer_with_another_state_is_turned_away_and_the_login_goes_on() -> None:
    turned_away: list[int] = []

    async def attacked(url: str) -> None:
        redirect = dict(parse_qsl(urlsplit(url).query))["redirect_uri"]
        async with httpx2.AsyncClient() as client:
            forged = (f"{redirect}?code=theirs&state=guessed", f"{redirect}?code=theirs", f"{redirect}/x")
            answers = [await client.get(each) for each in forged]
            answers.append(await client.post(redirect, content=b"x" * 100_000))
        turned_away.extend(answer.status_code for answer in answers)
        await browse(url)

    with anyio.fail_after(10):
        async with open_authority() as authority:
            await log_in(access_to(authority), attacked, patience_seconds=5)
    assert turned_away == [400] * 4
    assert [asked.form["code"].startswith("code-") for asked in authority.at("/token")] == [True]


async def test_a_server_that_takes_no_registration_says_what_to_do() -> None:
    async with open_authority() as authority:
        authority.registers = False
        told = await failure(access_to(authority))
    assert "takes no client that registers itself" in told
    assert "`oauth.client_id`" in told


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        ("http://login.example.org", "leads to http://login.example.org, which is not https"),
        ("https://169.254.169.254", "link-local or metadata address"),
        ("https://127.0.0.1:1", "its login failed"),
    ],
)
async def test_a_login_that_leads_to_where_it_must_not_ends(elsewhere: str, words: str) -> None:
    async with open_authority() as authority:
        authority.leads_to = elsewhere
        assert words in await failure(access_to(authority))


async def test_logging_out_forgets_and_revokes() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            access = access_to(authority)
            await log_in(access, browse, patience_seconds=5)
            assert await log_out(access)
            assert not await log_out(access)
    (revoked,) = authority.at("/revoke")
    assert revoked.form["token"] in authority.refreshable
    assert access.vault().is_empty()


async def test_logging_out_works_without_the_server() -> None:
    with anyio.fail_after(10):
        async with open_authority() as authority:
            access = access_to(authority)
            await log_in(access, browse, patience_seconds=5)
        assert await log_out(access)
    assert access.vault().is_empty()
