"""Turns over HTTP: they end whatever their host does, and any replica answers for them."""

import signal
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.support.host import Era, Home, Json, living, until
from tests.support.http import (
    ACCEPT,
    Served,
    answer_of,
    initialize_request,
    modern_call,
    open_http,
)
from tests.support.journey import Scene, call, calls, open_scene, release, says, work_done

pytestmark = pytest.mark.anyio

RULES = {"work": [calls(call("look", item="a", hold=True)), says("done")]}
AT_ONCE = 200
KEY = "k" * 32


@asynccontextmanager
async def at_work(folder: Path) -> AsyncGenerator[tuple[Scene, Served]]:
    """A server whose model has a tool that works until it is released."""
    with anyio.fail_after(60):
        async with open_scene(folder, RULES) as scene, open_http(scene.home) as server:
            yield scene, server


async def begun(scene: Scene) -> None:
    """Return once the tool works."""
    await until(lambda: work_done(scene.home) == ["look a"])


async def ended(server: Served, session_id: str) -> Json:
    """How the turn ended, as another host finds it."""
    async with server.host() as later:
        return await later.call("send_message", session_id=session_id, wait_seconds=20)


async def open_connection(http: httpx2.AsyncClient) -> dict[str, str]:
    """The old era's handshake; the headers of all that follows."""
    opened = await http.post("/mcp", json=initialize_request(), headers=ACCEPT)
    assert opened.status_code == 200
    headers = {
        **ACCEPT,
        "Mcp-Session-Id": opened.headers["mcp-session-id"],
        "MCP-Protocol-Version": "2025-11-25",
    }
    notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post("/mcp", json=notification, headers=headers)).status_code == 202
    return headers


def legacy_call(tool: str, /, **arguments: Any) -> Json:
    """A tool call of the old era."""
    return {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }


async def news_status(http: httpx2.AsyncClient, headers: dict[str, str]) -> int:
    """What the connection's stream for news is answered with; it is closed at once."""
    async with http.stream("GET", "/mcp", headers=headers) as news:
        return news.status_code


async def waiting_request(http: httpx2.AsyncClient, era: str, asked: Json) -> dict[str, Any]:
    """The keywords of a post that starts a session."""
    if era == "modern":
        return modern_call("start_session", **asked)
    return {"json": legacy_call("start_session", **asked), "headers": await open_connection(http)}


async def post_and_keep(http: httpx2.AsyncClient, request: dict[str, Any], answers: list[Json]) -> None:
    """Send a request and keep its answer."""
    answers.append(answer_of(await http.post("/mcp", **request)))


async def post_until_cancelled(http: httpx2.AsyncClient, request: dict[str, Any]) -> None:
    """Send a request and read its answer, if it comes."""
    await http.post("/mcp", **request)


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_host_that_vanishes_leaves_its_turn_to_end_and_be_read(tmp_path: Path, era: str) -> None:
    async with at_work(tmp_path) as (scene, server):
        asked = {"session_id": "s", "message": "work", "wait_seconds": 30}
        async with server.raw() as http, anyio.create_task_group() as tasks:
            request = await waiting_request(http, era, asked)
            tasks.start_soon(post_until_cancelled, http, request)
            await begun(scene)
            tasks.cancel_scope.cancel()
        release(scene.home, "a")
        await until(lambda: "turn_ended" in scene.home.kinds())
        assert "delivered" not in scene.home.kinds()
        answer = await ended(server, "s")
        assert (answer["text"], answer["stop_reason"]) == ("done", "end_turn")
        await until(lambda: scene.home.kinds().count("delivered") == 1)


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_host_that_hangs_up_once_it_has_read_its_answer_has_it(tmp_path: Path, era: str) -> None:
    async with at_work(tmp_path) as (scene, server), server.raw() as http:
        release(scene.home, "a")
        request = await waiting_request(http, era, {"session_id": "s", "message": "work", "wait_seconds": 30})
        async with http.stream("POST", "/mcp", **request) as response:
            async for line in response.aiter_lines():
                if '"stop_reason":"end_turn"' in line:
                    break
        async with server.host() as later:
            again = await later.call("send_message", session_id="s", message="work")
        assert (again["turn"], again.get("resent")) == (2, None)


async def test_a_message_sent_again_after_the_host_vanished_runs_nothing_twice(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (scene, server):
        async with server.raw() as http, anyio.create_task_group() as tasks:
            headers = await open_connection(http)
            request = legacy_call("start_session", session_id="s", message="work", wait_seconds=30)
            tasks.start_soon(post_until_cancelled, http, {"json": request, "headers": headers})
            await begun(scene)
            tasks.cancel_scope.cancel()
        release(scene.home, "a")
        await until(lambda: "turn_ended" in scene.home.kinds())
        async with server.host() as later:
            again = await later.call("send_message", session_id="s", message="work")
        assert (again["turn"], again["text"], again["resent"]) == (1, "done", True)
        assert work_done(scene.home) == ["look a"]


async def test_a_host_that_deletes_its_connection_leaves_its_turn_to_end(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (scene, server):
        async with server.raw() as http, anyio.create_task_group() as tasks:
            headers = await open_connection(http)
            request = legacy_call("start_session", session_id="s", message="work", wait_seconds=30)
            tasks.start_soon(post_until_cancelled, http, {"json": request, "headers": headers})
            await begun(scene)
            assert (await http.delete("/mcp", headers=headers)).status_code == 200
            gone = await http.post("/mcp", json=legacy_call("list_sessions"), headers=headers)
            assert gone.status_code == 404
            tasks.cancel_scope.cancel()
        release(scene.home, "a")
        assert (await ended(server, "s"))["text"] == "done"


async def test_a_host_that_closes_its_stream_for_news_leaves_its_turn_to_end(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (scene, server), server.raw() as http:
        headers = await open_connection(http)
        async with http.stream("GET", "/mcp", headers=headers) as news:
            assert news.status_code == 200
            request = legacy_call("start_session", session_id="s", message="work", wait_seconds=0)
            started = answer_of(await http.post("/mcp", json=request, headers=headers))
            assert started["result"]["structuredContent"]["status"] == "running"
            await begun(scene)
        release(scene.home, "a")
        assert (await ended(server, "s"))["text"] == "done"


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_server_that_is_told_to_end_ends_soon_and_tells_a_waiting_host_that_the_turn_runs(
    tmp_path: Path, era: str
) -> None:
    async with at_work(tmp_path) as (scene, server):
        asked = {"session_id": "s", "message": "work", "wait_seconds": 30}
        answers: list[Json] = []
        async with server.raw() as http, anyio.create_task_group() as tasks:
            request = await waiting_request(http, era, asked)
            tasks.start_soon(post_and_keep, http, request, answers)
            await begun(scene)
            children = server.process.descendants()
            began = time.monotonic()
            server.process.signal(signal.SIGTERM)
            assert await server.process.exit() == 143
            assert time.monotonic() - began < 2.5
            assert children and not living(children)
        assert server.process.stderr.count("\n") == 1, server.process.stderr
        assert [answer["result"]["structuredContent"]["status"] for answer in answers] == ["running"]
        async with open_http(scene.home) as next_one:
            release(scene.home, "a")
            assert (await ended(next_one, "s"))["text"] == "done"


async def test_a_server_that_is_told_to_end_closes_an_open_stream_for_news_in_order(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (_, server), server.raw() as http:
        headers = await open_connection(http)
        async with http.stream("GET", "/mcp", headers=headers) as news:
            server.process.signal(signal.SIGTERM)
            assert [line async for line in news.aiter_lines() if line.startswith("data")] == []
        assert await server.process.exit() == 143
        assert "ERROR" not in server.process.stderr


@asynccontextmanager
async def two_replicas(folder: Path, **server: Any) -> AsyncGenerator[tuple[Served, Served, Home]]:
    """Two servers on one store."""
    home = Home(folder, {"server": server}, {"STATE_KEY": KEY})
    with anyio.fail_after(60):
        async with open_http(home) as first, open_http(home) as second:
            yield first, second, home


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_session_goes_on_at_another_replica(tmp_path: Path, era: Era) -> None:
    async with (
        two_replicas(tmp_path) as (first, second, _),
        first.host(era) as one,
        second.host(era) as other,
    ):
        await one.call("start_session", session_id="s", message="hello")
        answer = await other.call("send_message", session_id="s", message="hello again")
        assert (answer["turn"], answer["stop_reason"]) == (2, "end_turn")


async def test_a_connection_opened_at_one_replica_is_served_by_another(tmp_path: Path) -> None:
    async with (
        two_replicas(tmp_path, state_key_env=["STATE_KEY"]) as (first, second, _),
        first.raw() as one,
        second.raw() as other,
    ):
        headers = await open_connection(one)
        for http in (other, one, other):
            answer = await http.post("/mcp", json=legacy_call("list_sessions"), headers=headers)
            assert answer.status_code == 200
            assert answer_of(answer)["result"]["structuredContent"]["sessions"] == []
        assert (await other.get("/mcp", headers=headers)).status_code == 405
        assert (await other.delete("/mcp", headers=headers)).status_code == 200
        assert (await other.post("/mcp", json=legacy_call("cancel"), headers=headers)).status_code == 404


async def test_without_a_shared_key_another_replicas_connection_is_not_found(tmp_path: Path) -> None:
    async with two_replicas(tmp_path) as (first, second, _), first.raw() as one, second.raw() as other:
        headers = await open_connection(one)
        answer = await other.post("/mcp", json=legacy_call("list_sessions"), headers=headers)
        assert answer.status_code == 404


async def test_a_connection_that_was_idle_too_long_still_works(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        home = Home(tmp_path, {"server": {"connection_idle_seconds": 0.2}})
        async with open_http(home) as server, server.raw() as http:
            headers = await open_connection(http)
            while await news_status(http, headers) != 405:
                await anyio.sleep(0.3)
            answer = await http.post("/mcp", json=legacy_call("list_sessions"), headers=headers)
            assert answer.status_code == 200


async def test_200_sessions_run_at_once_without_an_error(tmp_path: Path) -> None:
    seconds: list[float] = []
    answers: list[Json] = []

    async def talk(server: Served, number: int) -> None:
        async with server.host("legacy" if number % 2 else "auto") as host:
            began = time.monotonic()
            answers.append(await host.call("start_session", session_id=f"s{number}", message="look around"))
            seconds.append(time.monotonic() - began)

    rules = {"look around": [calls(call("look", item="a"), call("look", item="b")), says("seen")]}
    with anyio.fail_after(100):
        async with open_scene(tmp_path, rules) as scene, open_http(scene.home) as server:
            await _all_at_once(partial(talk, server))
            assert "ERROR" not in server.process.stderr
    assert len(answers) == AT_ONCE
    assert {(answer["stop_reason"], answer["text"]) for answer in answers} == {("end_turn", "seen")}
    cuts = statistics.quantiles(seconds, n=20)
    print(f"median {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s, worst {max(seconds):.2f} s")


async def _all_at_once(talk: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(AT_ONCE):
            tasks.start_soon(talk, number)
