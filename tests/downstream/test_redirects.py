"""Where a server behind HTTP may send us: nowhere else with what its entry told us, and to no link-local address."""

import os
import socket

import anyio
import pytest

from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.hub import open_hub
from tests.downstream.conftest import scope
from tests.support.answering import answering

pytestmark = pytest.mark.anyio

HEADERS = {"Authorization": "Bearer for-the-first-alone", "Cookie": "c=1", "X-Key": "k"}


async def _warnings(**servers: ServerEntry) -> list[str]:
    async with open_hub(servers, {}, os.environ) as hub:
        return list((await hub.open_toolbox(scope(*servers))).warnings)


@pytest.mark.parametrize("kind", ["http", "sse"])
@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_a_redirect_to_another_host_is_not_followed(kind: str, status: str) -> None:
    with anyio.fail_after(10):
        async with answering(b"200 OK") as (elsewhere, theirs):
            head = f"{status}\r\nLocation: http://localhost:{elsewhere}/mcp".encode()
            async with answering(head) as (port, ours):
                url = f"http://127.0.0.1:{port}/mcp"
                entry = ServerEntry.model_validate({"type": kind, "url": url, "headers": HEADERS})
                (warning,) = await _warnings(h=entry)
    assert warning.startswith("server h is down")
    assert b"for-the-first-alone" in ours[0]
    assert theirs == []


@pytest.mark.parametrize("kind", ["http", "sse"])
@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "2852039166"])
async def test_a_link_local_address_is_refused_with_the_way_out(kind: str, host: str) -> None:
    entry = ServerEntry.model_validate({"type": kind, "url": f"http://{host}/mcp"})
    with anyio.fail_after(5):
        (warning,) = await _warnings(h=entry)
    assert '"allow_link_local": true' in warning


async def test_a_name_that_leads_to_one_is_refused_and_an_entry_may_allow_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = socket.getaddrinfo
    connected: list[str] = []

    def resolve(host: object, port: object, *rest: object, **more: object) -> object:
        if host not in ("metadata.example", b"metadata.example"):
            return asked(host, port, *rest, **more)  # pyright: ignore[reportArgumentType]
        connected.append("asked")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = "http://metadata.example/mcp"
    with anyio.fail_after(10):
        (warning,) = await _warnings(h=ServerEntry(url=url, connect_timeout=3))
        assert "allow_link_local" in warning
        assert connected == ["asked"]
        allowed = ServerEntry(url=url, connect_timeout=0.3, allow_link_local=True)
        (warning,) = await _warnings(h=allowed)
    assert "allow_link_local" not in warning
    assert "server h is down" in warning
