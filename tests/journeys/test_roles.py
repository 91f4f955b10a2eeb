"""The real program in its roles: a server that runs nothing, a worker that serves no host, one PostgreSQL between."""

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest

from agent_mcp.store.open import open_store
from tests.support.host import Home, ServerProcess, open_server, until
from tests.support.http import open_http
from tests.support.journey import call, calls, open_scene, release, says, work_done
from tests.support.postgres import requires_postgres

pytestmark = pytest.mark.anyio

RULES = {"hold": [calls(call("look", item="a", hold=True)), says("Seen.")]}
HEALTH = "health at "


@requires_postgres
async def test_a_server_queues_a_worker_runs_and_another_goes_on_when_it_is_told_to_end(
    database_url: str, tmp_path: Path
) -> None:
    config = {"store": database_url, "server": {"worker": {"heartbeat_seconds": 20, "stalled_seconds": 60}}}
    with anyio.fail_after(60):
        async with (
            open_scene(tmp_path, RULES, config=config) as scene,
            open_http(scene.home, "--role", "server") as served,
            served.host() as host,
        ):
            begun = await host.call("start_session", session_id="s1", message="hold", wait_seconds=0.5)
            assert (begun["status"], work_done(scene.home)) == ("running", [])
            async with open_worker(scene.home) as first:
                await until(lambda: work_done(scene.home) == ["look a"])
                async with open_worker(scene.home):
                    first.signal(signal.SIGTERM)
                    assert await first.exit(within_seconds=5) == 128 + signal.SIGTERM
                    await until(lambda: work_done(scene.home) == ["look a"] * 2)
                    release(scene.home, "a")
                    ended = await host.call("send_message", session_id="s1")
            assert ended["text"] == "Seen."
            assert served.process.stdout == b"" and served.process.descendants() == []
        async with open_store(database_url) as store:
            kinds = [event.data.kind for event in await store.read("s1")]
    assert kinds.count("tool_result") == kinds.count("turn_ended") == 1


@asynccontextmanager
async def open_worker(home: Home) -> AsyncGenerator[ServerProcess]:
    """A worker that has said that it works, and says so to whoever asks."""
    async with open_server(home, "--role", "worker", "--transport", "http", "--port", "0") as process:
        await until(lambda: HEALTH in process.stderr or not process.alive)
        address = process.stderr.split(HEALTH)[1].split()[0]
        async with httpx2.AsyncClient() as client:
            assert (await client.get(address)).text == "ok"
            assert (await client.post(address.replace("healthz", "mcp"))).status_code == 404
        yield process
