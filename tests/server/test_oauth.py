"""Tokens of an authorization server: good ones name a principal, every other is refused."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_mcp.config.schema import OAuthEntry
from agent_mcp.server.jwks import PAUSE_SECONDS, STALE_SECONDS, IssuerUnavailableError, metadata_urls
from agent_mcp.server.oauth import OAuthTokens
from tests.support.host import Home
from tests.support.http import modern_call, open_http
from tests.support.issuer import AUDIENCE, Issuer, new_key, open_issuer

pytestmark = pytest.mark.anyio


class HandClock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@asynccontextmanager
async def verifying(**changes: Any) -> AsyncGenerator[tuple[Issuer, OAuthTokens, HandClock]]:
    """An issuer and who believes it."""
    clock = HandClock()
    with anyio.fail_after(20):
        async with open_issuer() as issuer:
            yield issuer, OAuthTokens(OAuthEntry.model_validate(issuer.config(**changes)), clock=clock), clock


async def test_a_good_token_names_its_issuer_and_subject_and_nothing_keeps_it() -> None:
    async with verifying() as (issuer, tokens, _):
        found = await tokens.verify_token(issuer.token())
        assert found is not None
        assert (found.client_id, found.scopes) == (f"oauth:{issuer.url} ada", ["agents"])
        assert found.token == ""


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a b"}, ["a", "b"]),
        ({"scope": None, "scp": ["a", "b"]}, ["a", "b"]),
        ({"scope": None}, []),
        ({"scope": 5}, []),
    ],
)
async def test_scopes_are_read_in_either_spelling(claims: dict[str, Any], scopes: list[str]) -> None:
    async with verifying() as (issuer, tokens, _):
        found = await tokens.verify_token(issuer.token(**claims))
        assert found is not None and found.scopes == scopes


BAD: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 60),
    "never expires": lambda issuer: issuer.token(exp=None),
    "not yet": lambda issuer: issuer.token(nbf=int(time.time()) + 600),
    "another audience": lambda issuer: issuer.token(aud="https://other.example.org/mcp"),
    "no audience": lambda issuer: issuer.token(aud=None),
    "another issuer": lambda issuer: issuer.token(iss="https://evil.example"),
    "nobody": lambda issuer: issuer.token(sub=None),
    "nobody's name": lambda issuer: issuer.token(sub=""),
    "alg none": lambda issuer: issuer.unsigned(),
    "HS256 with the public key": lambda issuer: issuer.signed_with_the_public_key(),
    "an unknown key": lambda issuer: issuer.token(header={"kid": "second"}),
    "the shared key": lambda issuer: issuer.token(header={"kid": "shared"}),
    "a changed payload": lambda issuer: _swapped(issuer.token(), issuer.token(sub="eve")),
    "no token": lambda issuer: "correct-horse-battery-staple",
    "empty": lambda issuer: "",
    "dots": lambda issuer: "a.b.c",
}


def _swapped(good: str, other: str) -> str:
    head, _, mark = good.split(".")
    return ".".join((head, other.split(".")[1], mark))


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_a_bad_token_is_refused(bad: Callable[[Issuer], str]) -> None:
    async with verifying() as (issuer, tokens, _):
        assert await tokens.verify_token(bad(issuer)) is None
        assert await tokens.verify_token(issuer.token()) is not None


async def test_another_issuers_key_of_the_same_name_does_not_help() -> None:
    async with verifying() as (issuer, tokens, _), open_issuer() as other:
        assert await tokens.verify_token(other.token(iss=issuer.url)) is None


async def test_keys_are_asked_for_once_and_a_new_one_is_found_without_a_restart() -> None:
    async with verifying() as (issuer, tokens, clock):
        for _ in range(5):
            assert await tokens.verify_token(issuer.token())
        assert issuer.asked.count("/keys") == 1
        issuer.keys["second"] = new_key()
        clock.seconds += PAUSE_SECONDS
        assert await tokens.verify_token(issuer.token("second"))
        assert issuer.asked.count("/keys") == 2


async def test_tokens_with_invented_keys_can_not_make_us_ask_all_the_time() -> None:
    async with verifying() as (issuer, tokens, _):
        for number in range(50):
            assert await tokens.verify_token(issuer.token(header={"kid": f"invented-{number}"})) is None
        assert issuer.asked.count("/keys") == 1


async def test_many_at_once_ask_once() -> None:
    async with verifying() as (issuer, tokens, _):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(tokens.verify_token, issuer.token())
        assert issuer.asked.count("/keys") == 1


async def test_while_the_issuer_is_down_known_keys_stay_good_for_a_day() -> None:
    async with verifying() as (issuer, tokens, clock):
        assert await tokens.verify_token(issuer.token())
        issuer.up = False
        clock.seconds += STALE_SECONDS - 1
        assert await tokens.verify_token(issuer.token())
        clock.seconds += 2
        with pytest.raises(IssuerUnavailableError):
            await tokens.verify_token(issuer.token())


async def test_metadata_that_names_another_issuer_is_not_used() -> None:
    async with verifying() as (issuer, tokens, _):
        issuer.named = "https://evil.example"
        with pytest.raises(IssuerUnavailableError):
            await tokens.verify_token(issuer.token())
        assert "/keys" not in issuer.asked


def test_metadata_is_sought_where_both_specifications_put_it() -> None:
    assert metadata_urls("https://id.example.org/tenant/") == (
        "https://id.example.org/.well-known/oauth-authorization-server/tenant",
        "https://id.example.org/tenant/.well-known/openid-configuration",
    )


async def test_a_whole_server_tells_clients_where_to_go_and_takes_their_tokens(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with (
            open_issuer() as issuer,
            open_http(Home(tmp_path, {"server": {"oauth": issuer.config()}})) as server,
            server.raw() as http,
        ):
            refused = await http.post("/mcp", **modern_call("list_sessions"))
            assert refused.status_code == 401
            metadata = "https://mcp.example.org/.well-known/oauth-protected-resource/mcp"
            assert f'resource_metadata="{metadata}"' in refused.headers["www-authenticate"]
            assert 'scope="agents"' in refused.headers["www-authenticate"]
            told = (await http.get("/.well-known/oauth-protected-resource/mcp")).json()
            assert (told["resource"], told["authorization_servers"]) == (AUDIENCE, [issuer.url])
            assert told["scopes_supported"] == ["agents"]

            async def answer(token: str) -> tuple[int, str]:
                request = modern_call("list_sessions")
                request["headers"]["Authorization"] = f"Bearer {token}"
                answered = await http.post("/mcp", **request)
                return answered.status_code, answered.headers.get("www-authenticate", "")

            async def status(token: str) -> int:
                return (await answer(token))[0]

            assert await answer(issuer.token()) == (200, "")
            forbidden, challenge = await answer(issuer.token(scope="other"))
            assert forbidden == 403
            assert 'error="insufficient_scope"' in challenge and 'scope="agents"' in challenge
            assert await status(issuer.token(exp=int(time.time()) - 60)) == 401
            assert await status(issuer.token(aud="https://other.example.org")) == 401
            assert await status(issuer.unsigned()) == 401


async def test_an_issuer_that_does_not_answer_is_not_the_callers_fault(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_issuer() as issuer:
            issuer.up = False
            config = {"server": {"oauth": issuer.config()}}
            async with open_http(Home(tmp_path, config)) as server:
                async with server.raw(Authorization=f"Bearer {issuer.token()}") as http:
                    answer = await http.post("/mcp", **modern_call("list_sessions"))
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
                assert "can't be had" in server.process.stderr


async def test_keys_are_not_fetched_from_a_link_local_address(caplog: pytest.LogCaptureFixture) -> None:
    async with verifying() as (issuer, _, clock):
        oauth = OAuthEntry.model_validate(issuer.config(jwks_url="http://169.254.169.254/keys"))
        with pytest.raises(IssuerUnavailableError):
            await OAuthTokens(oauth, clock=clock).verify_token(issuer.token())
    assert "link-local" in caplog.text
