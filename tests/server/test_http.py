"""Serving over HTTP: what every request must pass, and what becomes of bad ones. Real processes, real sockets."""

import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from agent_mcp.server.guards import is_loopback
from tests.support.host import Home, until
from tests.support.http import (
    ACCEPT,
    Served,
    answer_of,
    initialize_request,
    modern_call,
    modern_headers,
    modern_request,
    open_http,
)

pytestmark = pytest.mark.anyio

TOKEN = "correct-horse-battery-staple"
TOKENS = {"tokens": [{"name": "ada", "token": TOKEN}]}
WRONG_AUTHORIZATION = ("Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", f"Bearer  {TOKEN}")
NO_JSON_RPC = (
    *("", "{", "null", "[]", '"x"', "\x00\xff", "[" * 50_000, '{"jsonrpc": "2.0"}'),
    *(
        '{"jsonrpc": "1.0", "id": 1, "method": "ping"}',
        '{"jsonrpc": "2.0", "id": {}, "method": "tools/call"}',
    ),
)
OPENINGS: tuple[dict[str, Any], ...] = (
    {"json": initialize_request(), "headers": ACCEPT},
    modern_call("list_sessions"),
)
"""A host's first request in each era."""


@asynccontextmanager
async def served(folder: Path, *arguments: str, **server: Any) -> AsyncGenerator[Served]:
    """A server with these settings under `server`."""
    with anyio.fail_after(60):
        async with open_http(Home(folder, {"server": server}), *arguments) as served:
            yield served


async def works(served: Served, **headers: str) -> bool:
    """Whether a call goes through."""
    async with served.raw(**headers) as http:
        response = await http.post("/mcp", **modern_call("list_sessions"))
    return response.status_code == 200 and "sessions" in answer_of(response)["result"]["structuredContent"]


async def test_whoever_watches_processes_learns_that_it_lives_without_a_token(tmp_path: Path) -> None:
    async with served(tmp_path, **TOKENS) as server, server.raw(Host="10.1.2.3:80") as http:
        response = await http.get("/healthz")
        assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_a_wrong_token_is_told_so_and_how_to_say_a_right_one(tmp_path: Path) -> None:
    wrong = [{}, *({"Authorization": value} for value in WRONG_AUTHORIZATION)]
    async with served(tmp_path, **TOKENS) as server:
        for headers, request in product(wrong, OPENINGS):
            async with server.raw(**headers) as http:
                response = await http.post("/mcp", **request)
            assert response.status_code == 401, headers
            assert response.headers["www-authenticate"].startswith("Bearer ")
        assert await works(server, Authorization=f"Bearer {TOKEN}")
        assert TOKEN not in server.process.stderr


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8642",
        "[::2]:80",
        "localhost:80.evil.example",
        "localhost:1@evil",
    ],
)
async def test_a_foreign_host_is_refused(one: Served, host: str) -> None:
    async with one.raw(Host=host) as http:
        for request in OPENINGS:
            assert (await http.post("/mcp", **request)).status_code == 421
        assert (await http.get("/mcp")).status_code == 421


async def test_a_foreign_host_is_refused_before_a_token_is_asked_for(tmp_path: Path) -> None:
    async with served(tmp_path, **TOKENS) as server, server.raw(Host="evil.example") as http:
        assert (await http.post("/mcp", **modern_call("list_sessions"))).status_code == 421


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://localhost:1.evil.example"],
)
async def test_a_foreign_origin_is_refused(one: Served, origin: str) -> None:
    async with one.raw(Origin=origin) as http:
        assert (await http.post("/mcp", **modern_call("list_sessions"))).status_code == 403


async def test_what_the_config_allows_may_come(tmp_path: Path) -> None:
    allowed = {"allowed_hosts": ["mcp.example.org"], "allowed_origins": ["https://app.example.org"]}
    async with served(tmp_path, **allowed) as server:
        assert await works(server, Host="mcp.example.org", Origin="https://app.example.org")
        assert await works(server, Host="mcp.example.org:8443", Origin="http://localhost:3000")
        assert not await works(server, Host="mcp.example.com")
        assert not await works(server, Origin="https://app.example.com")


async def test_an_address_that_others_can_reach_serves_those_who_have_a_token(tmp_path: Path) -> None:
    settings = {**TOKENS, "allowed_hosts": ["mcp.example.org"]}
    async with served(tmp_path, "--host", "0.0.0.0", **settings) as server:
        local = Served(server.process, server.address.replace("0.0.0.0", "127.0.0.1"))
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert await works(local, Host="mcp.example.org", **bearer)
        assert not await works(local, **bearer)
        assert not await works(local, Host="mcp.example.org")


async def test_a_body_above_the_limit_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path, max_request_bytes=10_000) as server, server.raw() as http:
        request = modern_call("start_session", message="x" * 20_000)
        assert (await http.post("/mcp", **request)).status_code == 413

        async def piecewise() -> AsyncGenerator[bytes]:
            for _ in range(20):
                yield b"x" * 1_000

        headers = {**modern_headers("tools/call", "start_session"), "Content-Type": "application/json"}
        assert (await http.post("/mcp", content=piecewise(), headers=headers)).status_code == 413
        assert await works(server)


@pytest.mark.parametrize(
    "headers", [ACCEPT, modern_headers("tools/call", "summary")], ids=["legacy", "modern"]
)
@pytest.mark.parametrize("body", NO_JSON_RPC)
async def test_what_is_no_json_rpc_is_told_so(one: Served, headers: dict[str, str], body: str) -> None:
    async with one.raw() as http:
        headers = {**headers, "Content-Type": "application/json"}
        response = await http.post("/mcp", content=body.encode("latin-1"), headers=headers)
        assert response.status_code == 400
        assert "error" in response.json()


async def test_an_unknown_method_and_an_unknown_version_have_their_own_answers(one: Served) -> None:
    async with one.raw() as http:
        unknown = await http.post(
            "/mcp", json=modern_request("tools/explode"), headers=modern_headers("tools/explode")
        )
        assert answer_of(unknown)["error"]["code"] == -32601
        future = modern_request("tools/list")
        future["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01"
        headers = {**modern_headers("tools/list"), "MCP-Protocol-Version": "2099-01-01"}
        response = await http.post("/mcp", json=future, headers=headers)
        assert (response.status_code, answer_of(response)["error"]["code"]) == (400, -32022)


async def test_a_wrong_media_type_verb_or_path_is_refused(one: Served) -> None:
    async with one.raw() as http:
        body = json.dumps(modern_request("tools/list"))
        headers = {**modern_headers("tools/list"), "Content-Type": "text/plain"}
        assert (await http.post("/mcp", content=body, headers=headers)).status_code in (400, 415)
        assert (await http.put("/mcp", json={}, headers=ACCEPT)).status_code in (400, 405)
        assert (await http.get("/")).status_code == 404
        assert (await http.get("/healthz/../mcp", headers={"Host": "evil.example"})).status_code in (404, 421)


async def test_a_connection_nobody_opened_is_not_found(one: Served) -> None:
    async with one.raw() as http:
        for invented in ("1", "a" * 32, f"{'a' * 32}-{'b' * 32}"):
            request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            headers = {**ACCEPT, "Mcp-Session-Id": invented}
            assert (await http.post("/mcp", json=request, headers=headers)).status_code == 404


async def test_ten_thousand_connections_in_a_row_leave_nothing_behind(one: Served) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    files = psutil.Process(one.process.pid).num_fds()

    def connect() -> None:
        for _ in range(10_000):
            with socket.create_connection(("127.0.0.1", one.port), timeout=10) as stream:
                stream.sendall(request)
                assert stream.recv(1024).startswith(b"HTTP/1.1 200")

    await anyio.to_thread.run_sync(connect)
    assert await works(one)
    await until(lambda: psutil.Process(one.process.pid).num_fds() <= files + 5)


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /mcp HT", b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_client_that_sends_too_slowly_is_let_go(tmp_path: Path, sent: bytes) -> None:
    async with served(tmp_path, request_seconds=0.5) as server:
        async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
            if sent:
                await stream.send(sent)
            with anyio.fail_after(5), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        assert await works(server)


async def test_a_client_that_reads_nothing_is_let_go(tmp_path: Path) -> None:
    async with served(tmp_path, request_seconds=1) as server:
        body = json.dumps(modern_request("tools/list"))
        head = "\r\n".join(f"{name}: {value}" for name, value in modern_headers("tools/list").items())
        request = (
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
            f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
            with anyio.fail_after(40), pytest.raises(anyio.BrokenResourceError):
                while True:
                    await stream.send(request * 20)
        assert await works(server)


async def test_too_many_requests_are_told_when_to_come_again(tmp_path: Path) -> None:
    tokens = [{"name": "ada", "token": TOKEN}, {"name": "bob", "token": TOKEN[::-1]}]
    async with served(tmp_path, tokens=tokens, limits={"requests_per_minute": 3}) as server:
        async with server.raw(Authorization=f"Bearer {TOKEN}") as http:
            answers = [await http.post("/mcp", **modern_call("list_sessions")) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[3].headers["retry-after"]) <= 20
        assert "3 requests" in answers[3].json()["error"]["message"]
        assert await works(server, Authorization=f"Bearer {TOKEN[::-1]}")


async def test_the_limit_of_requests_holds_without_tokens_too(tmp_path: Path) -> None:
    async with served(tmp_path, limits={"requests_per_minute": 1}) as server, server.raw() as http:
        answers = [await http.post("/mcp", **modern_call("list_sessions")) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_addresses_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "mcp.example.org", ""])
def test_addresses_that_others_can_reach(host: str) -> None:
    assert not is_loopback(host)
