"""What servers and models were told in confidence is in no result, no log and no store, whoever repeats it."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from tests.support.host import open_client, open_server
from tests.support.journey import open_scene, says
from tests.support.model_script import Fault

pytestmark = pytest.mark.anyio

IN_HEADER, IN_ENV, IN_URL, IN_ARGS = "told-in-header", "told-in-env", "told-in-url", "told-in-args"
SECRETS = (IN_HEADER, IN_ENV, IN_URL, IN_ARGS)
_TELLTALE = "import os, sys; print(dict(os.environ), sys.argv, file=sys.stderr, flush=True); sys.exit(3)"


async def _repeat(stream: ByteStream) -> None:
    """Refuse a request with all that it said."""
    async with stream:
        request = await stream.receive()
        answer = b"401 no: " + request[:4] + b" " + IN_HEADER.encode() + b" " + IN_URL.encode()
        head = f"HTTP/1.1 401 No\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
        await stream.send(head.encode() + answer)


def _servers(port: int) -> dict[str, Any]:
    arguments = ["-c", _TELLTALE, "--token", IN_ARGS]
    env = {"DATABASE_URL": f"postgres://u:{IN_ENV}@h/d"}
    url = f"http://u:{IN_URL}@127.0.0.1:{port}/mcp"
    return {
        "child": {"command": sys.executable, "args": arguments, "env": env},
        "web": {"url": url, "headers": {"X-Key": IN_HEADER}},
    }


def _files(folder: Path) -> list[bytes]:
    """The store's files."""
    return [file.read_bytes() for file in folder.glob("sessions.db*") if file.is_file()]


@asynccontextmanager
async def _telltale() -> AsyncGenerator[int]:
    """The port of a server that repeats what it was told."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, _repeat)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def test_what_was_told_in_confidence_is_cut_out_of_what_servers_and_models_say(tmp_path: Path) -> None:
    said = f"you sent {IN_HEADER} and {IN_URL}"
    rules = {"": [says("", fault=Fault(kind="status", status=400, message=said))]}
    with anyio.fail_after(30):
        async with _telltale() as port, open_scene(tmp_path, rules) as scene:
            address = f"http://u:{IN_URL}@127.0.0.1:{scene.model.port}/v1"
            entry = {"use": "openai-chat:m", "base_url": address, "headers": {"X-Key": IN_HEADER}}
            scene.home.config = {"mcpServers": _servers(port), "models": {"mine": entry}}
            scene.home.environ |= {"AGENT_MCP_MODEL": "mine", "AGENT_MCP_LOG_LEVEL": "DEBUG"}
            async with open_server(scene.home) as server, open_client(server) as host:
                turn = await host.call("start_session", session_id="s1", message="task")
    assert turn["error"]["message"].endswith("you sent *** and ***")
    assert ["exited with code 3" in w or "HTTP 401" in w for w in turn["warnings"]] == [True, True]
    places = [str(turn).encode(), bytes(server.stdout), server.stderr.encode()]
    places += _files(tmp_path)
    assert [secret for secret in SECRETS for place in places if secret.encode() in place] == []
