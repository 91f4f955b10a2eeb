"""Servers behind HTTP: refused, forbidden, restarted, killed."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import httpx2
import pytest

from agent_mcp.agent.messages import ToolResult
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.faults import HTTP_STATUS, LOST, NOT_SENT, SESSION_GONE
from agent_mcp.downstream.http import PlainSpokenClient
from agent_mcp.downstream.hub import open_hub
from tests.downstream.conftest import ROOT, ask, hub_of, scope

pytestmark = pytest.mark.anyio


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def _served(port: int, *options: str, kind: str = "--http") -> Generator[subprocess.Popen[bytes]]:
    """The SDK's server on a port. It listens from the beginning: requests wait until it has started."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        command = [sys.executable, "-m", "tests.support.servers.sdk", kind, str(listener.fileno()), *options]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _entry(port: int, **more: object) -> ServerEntry:
    return ServerEntry.model_validate({"type": "http", "url": f"http://127.0.0.1:{port}/mcp", **more})


@pytest.mark.parametrize("era", ["auto", "legacy", "modern"])
async def test_a_server_behind_http_works_in_every_era(era: str) -> None:
    port = _free_port()
    with anyio.fail_after(30), _served(port):
        async with hub_of(h=_entry(port, era=era)) as hub:
            result = await ask(await hub.open_toolbox(scope("h")), "h__echo", value="é")
    assert not result.is_error
    assert result.text.startswith("é")


async def test_the_older_sse_transport_works() -> None:
    port = _free_port()
    entry = ServerEntry(type="sse", url=f"http://127.0.0.1:{port}/sse")
    with anyio.fail_after(30), _served(port, kind="--sse"):
        async with hub_of(h=entry) as hub:
            result = await ask(await hub.open_toolbox(scope("h")), "h__echo", value="x")
    assert result.text.startswith("x")


async def test_headers_are_sent_and_a_refusal_is_told_with_its_status() -> None:
    port = _free_port()
    servers = {
        "in": _entry(port, headers={"Authorization": "Bearer t"}),
        "out": _entry(port),
        "lost": ServerEntry(url=f"http://127.0.0.1:{port}/nowhere", headers={"Authorization": "Bearer t"}),
    }
    with anyio.fail_after(30), _served(port, "--token", "t"):
        async with open_hub(servers, {}, os.environ) as hub:
            toolbox = await hub.open_toolbox(scope("in", "out", "lost"))
    assert {tool.server for tool in toolbox.tools} == {"in"}
    assert "HTTP 401 Unauthorized" in toolbox.warnings[0]
    assert "headers" in toolbox.warnings[0]
    assert "HTTP 404" in toolbox.warnings[1]


async def test_an_address_where_nobody_listens_is_told_at_once() -> None:
    with anyio.fail_after(5):
        async with hub_of(h=_entry(_free_port())) as hub:
            toolbox = await hub.open_toolbox(scope("h"))
    assert "could not connect" in toolbox.warnings[0]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_restarted_server_works_again_on_the_next_call(era: str) -> None:
    port = _free_port()
    with anyio.fail_after(40):
        async with hub_of(h=_entry(port, era=era)) as hub:
            with _served(port):
                toolbox = await hub.open_toolbox(scope("h"))
                assert not (await ask(toolbox, "h__echo", value="x")).is_error
            down = await ask(toolbox, "h__echo", value="x")
            with _served(port):
                again = await ask(toolbox, "h__echo", value="x")
    assert down.code == "SERVER_UNAVAILABLE"
    assert "could not connect" in down.text
    assert not again.is_error


async def test_a_legacy_server_restarted_between_two_calls_is_not_noticed_by_the_model() -> None:
    port = _free_port()
    with anyio.fail_after(40):
        async with hub_of(h=_entry(port, era="legacy")) as hub:
            with _served(port):
                toolbox = await hub.open_toolbox(scope("h"))
                await ask(toolbox, "h__echo", value="x")
            with _served(port):
                assert not (await ask(toolbox, "h__echo", value="x")).is_error


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_server_killed_during_a_call_leaves_it_open_whether_it_happened(era: str) -> None:
    port = _free_port()
    results: list[ToolResult] = []
    begun = anyio.Event()
    with anyio.fail_after(30), _served(port) as process:
        async with hub_of(h=_entry(port, era=era)) as hub, anyio.create_task_group() as tasks:
            toolbox = await hub.open_toolbox(scope("h", emit=lambda _: begun.set()))

            async def slow() -> None:
                results.append(await ask(toolbox, "h__slow"))

            tasks.start_soon(slow)
            await begun.wait()
            process.kill()
    assert results[0].code == "INTERRUPTED"
    assert "may have happened" in results[0].text


async def test_a_cancelled_call_does_not_cost_the_connection() -> None:
    port = _free_port()
    begun = anyio.Event()
    with anyio.fail_after(30), _served(port):
        async with hub_of(h=_entry(port)) as hub:
            toolbox = await hub.open_toolbox(scope("h", emit=lambda _: begun.set()))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, toolbox, "h__slow")
                await begun.wait()
                tasks.cancel_scope.cancel()
            assert not (await ask(toolbox, "h__echo", value="x")).is_error


async def test_a_refusal_over_sse_does_not_show_the_url() -> None:
    port = _free_port()
    entry = ServerEntry(type="sse", url=f"http://127.0.0.1:{port}/sse?key=secret")
    with anyio.fail_after(30), _served(port, "--token", "t", kind="--sse"):
        async with hub_of(h=entry) as hub:
            [warning] = (await hub.open_toolbox(scope("h"))).warnings
    assert "HTTP 401" in warning
    assert "secret" not in warning


_REQUEST = {"jsonrpc": "2.0", "id": 5, "method": "tools/call"}


async def _error_from(response: httpx2.Response | Exception, *, session: bool = False) -> tuple[int, str]:
    def handle(_: httpx2.Request) -> httpx2.Response:
        if isinstance(response, Exception):
            raise response
        return response

    headers = {"mcp-session-id": "abc"} if session else {}
    async with PlainSpokenClient(transport=httpx2.MockTransport(handle)) as client:
        answer = (await client.post("http://x/mcp", json=_REQUEST, headers=headers)).json()
    assert answer["id"] in (5, None)
    return answer["error"]["code"], answer["error"]["message"]


@pytest.mark.parametrize(
    ("response", "session", "code"),
    [
        (httpx2.ConnectError("refused"), False, NOT_SENT),
        (httpx2.ConnectTimeout("slow"), False, NOT_SENT),
        (httpx2.ReadError("reset"), False, LOST),
        (httpx2.RemoteProtocolError("gone"), False, LOST),
        (httpx2.Response(502, text="bad gateway"), False, HTTP_STATUS),
        (httpx2.Response(403), False, HTTP_STATUS),
        (httpx2.Response(404), True, SESSION_GONE),
        (httpx2.Response(400, text="No valid session ID"), True, SESSION_GONE),
        (httpx2.Response(400, text="nonsense"), True, HTTP_STATUS),
        (httpx2.Response(404), False, HTTP_STATUS),
    ],
)
async def test_what_befalls_a_request_becomes_an_error_that_says_whether_it_was_sent(
    response: httpx2.Response | Exception, session: bool, code: int
) -> None:
    assert (await _error_from(response, session=session))[0] == code


async def test_a_servers_own_json_rpc_error_is_left_as_it_is() -> None:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "theirs"}}
    assert await _error_from(httpx2.Response(400, json=error)) == (-32602, "theirs")


async def test_a_notification_to_a_server_that_is_gone_ends_nothing() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    async with PlainSpokenClient(transport=httpx2.MockTransport(refuse)) as client:
        answer = await client.post(
            "http://x/mcp", json={"jsonrpc": "2.0", "method": "notifications/cancelled"}
        )
    assert answer.status_code == 202


async def test_what_is_no_json_rpc_goes_its_usual_way() -> None:
    async with PlainSpokenClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(405))) as client:
        assert (await client.get("http://x/mcp")).status_code == 405
