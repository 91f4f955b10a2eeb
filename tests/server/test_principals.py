"""Two principals on one server: to each of them the other's sessions don't exist, whatever is tried."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from tests.support.host import Era, Home, Json, open_host
from tests.support.http import HttpHost, Served, open_http
from tests.support.issuer import open_issuer
from tests.support.journey import call, calls, open_scene, says

pytestmark = pytest.mark.anyio

ADA, BOB = "ada-correct-horse-battery", "bob-correct-horse-battery"
TOKENS = {"tokens": [{"name": "ada", "token": ADA}, {"name": "bob", "token": BOB}]}

FOREIGN_CALLS: Mapping[str, Json] = {
    "send_message": {"message": "go on"},
    "summary": {"detail": "full"},
    "approve": {"call_id": "c", "decision": "allow"},
    "cancel": {},
    "fork_session": {},
    "close_session": {},
}
"""Every tool that names a session; `{}` beside the session_id."""


@asynccontextmanager
async def two_hosts(folder: Path, era: Era = "auto") -> AsyncGenerator[tuple[Served, HttpHost, HttpHost]]:
    """Ada's host and Bob's, on one server."""
    with anyio.fail_after(60):
        async with (
            open_http(Home(folder, {"server": TOKENS})) as server,
            server.host(era, token=ADA) as ada,
            server.host(era, token=BOB) as bob,
        ):
            yield server, ada, bob


def stored(folder: Path) -> bytes:
    """All bytes of the store."""
    return b"".join(file.read_bytes() for file in folder.glob("sessions.db*") if file.is_file())


async def refusal(host: HttpHost, session_id: str, path: str) -> str:
    """What a host is told that reads a transcript that is not there for it, without the id."""
    with pytest.raises(MCPError) as refused:
        await host.client.read_resource(f"session://{session_id}{path}")
    return str(refused.value).replace(session_id, "ID")


def nameless(answer: Any, session_id: str) -> Any:
    """An answer without the id that it echoes."""
    return json.loads(json.dumps(answer).replace(session_id, "ID"))


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_foreign_id_and_an_unknown_one_give_the_same_answer_in_every_tool(
    tmp_path: Path, era: Era
) -> None:
    async with two_hosts(tmp_path, era) as (_, ada, bob):
        started = await ada.call("start_session", session_id="adas-own", message="hello")
        assert started["stop_reason"] == "end_turn"
        names = {tool.name for tool in (await bob.client.list_tools()).tools}
        assert names - {"start_session", "list_sessions"} == set(FOREIGN_CALLS)
        for tool, arguments in FOREIGN_CALLS.items():
            foreign = await bob.call(tool, session_id="adas-own", **arguments)
            unknown = await bob.call(tool, session_id="nobodys!"[:-1], **arguments)
            assert foreign["error"]["code"] == "SESSION_NOT_FOUND", tool
            assert nameless(foreign, "adas-own") == nameless(unknown, "nobodys"), tool
        assert (await bob.call("list_sessions"))["sessions"] == []
        assert (await bob.call("list_sessions", query="adas-own"))["sessions"] == []
        (own,) = (await ada.call("list_sessions"))["sessions"]
        assert (own["session_id"], own["status"], own["turns"]) == ("adas-own", "idle", 1)


async def test_a_taken_id_can_not_be_started_and_says_nothing_of_its_session(tmp_path: Path) -> None:
    async with two_hosts(tmp_path) as (_, ada, bob):
        await ada.call("start_session", session_id="adas-own", message="my secret")
        taken = await bob.call("start_session", session_id="adas-own", message="my secret")
        assert taken["error"]["code"] == "SESSION_EXISTS"
        assert (taken["status"], taken["text"], taken["steps"]) == (None, "", [])
        assert taken["next"] == "Choose another session_id."


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_foreign_transcript_is_read_like_one_that_does_not_exist(tmp_path: Path, era: Era) -> None:
    async with two_hosts(tmp_path, era) as (_, ada, bob):
        await ada.call("start_session", session_id="adas-own", message="my secret")
        for path in ("", "/steps/0"):
            assert await ada.client.read_resource(f"session://adas-own{path}")
            refusals = [await refusal(bob, session_id, path) for session_id in ("adas-own", "nobodys")]
            assert refusals[0] == refusals[1]
        listed = await bob.client.list_resources()
        assert "adas-own" not in listed.model_dump_json()


async def test_an_approval_is_not_anybody_elses_to_give(tmp_path: Path) -> None:
    rules = {"book": [calls(call("book", item="x")), says("done")]}
    config = {"server": TOKENS, "defaults": {"approvals": {"ask": ["*"]}}}
    with anyio.fail_after(60):
        async with (
            open_scene(tmp_path, rules, config=config) as scene,
            open_http(scene.home) as server,
            server.host(token=ADA) as ada,
            server.host(token=BOB) as bob,
        ):
            waits = await ada.call("start_session", session_id="s", message="book it")
            (asked,) = waits["approvals"]
            answer = {"session_id": "s", "call_id": asked["call_id"], "decision": "allow"}
            assert (await bob.call("approve", **answer))["error"]["code"] == "SESSION_NOT_FOUND"
            assert (await bob.call("cancel", session_id="s"))["error"]["code"] == "SESSION_NOT_FOUND"
            still = await ada.call("send_message", session_id="s", wait_seconds=0)
            assert still["status"] == "needs_approval"


async def test_a_token_in_clear_is_in_no_log_and_no_store(tmp_path: Path) -> None:
    async with two_hosts(tmp_path) as (server, ada, _):
        await ada.call("start_session", message="hello")
        assert b"hello" in stored(tmp_path)
        assert ADA.encode() not in stored(tmp_path)
        assert ADA not in server.process.stderr


async def test_users_of_one_authorization_server_are_principals_of_their_own(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_issuer() as issuer:
            settings = {"oauth": issuer.config(), **TOKENS}
            async with (
                open_http(Home(tmp_path, {"server": settings})) as server,
                server.host(token=issuer.token(sub="ada")) as ada,
                server.host(token=issuer.token(sub="eve")) as eve,
                server.host(token=ADA) as configured,
            ):
                await ada.call("start_session", session_id="adas-own")
                for other in (eve, configured):
                    assert (await other.call("list_sessions"))["sessions"] == []
            async with (
                open_http(Home(tmp_path, {"server": settings})) as server,
                server.host(token=issuer.token(sub="ada")) as ada,
            ):
                (own,) = (await ada.call("list_sessions"))["sessions"]
                assert own["session_id"] == "adas-own"


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_one_session_is_used_over_stdio_and_http_at_once(tmp_path: Path, era: Era) -> None:
    with anyio.fail_after(60):
        home = Home(tmp_path)
        async with (
            open_host(home) as desk,
            open_http(home) as server,
            server.host(era) as remote,
        ):
            await desk.call("start_session", session_id="s", message="from the desk")
            answered = await remote.call("send_message", session_id="s", message="from afar")
            assert (answered["turn"], answered["stop_reason"]) == (2, "end_turn")
            again = await desk.call("send_message", session_id="s", message="from the desk again")
            assert again["turn"] == 3
            seen = await remote.call("summary", session_id="s", detail="full")
            assert seen["turns"] == 3
