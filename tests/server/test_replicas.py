"""Connections of the old era that are not here: who is served without one, and who has ended theirs."""

import pytest
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from agent_mcp.server.replicas import AnyReplica, Seal

pytestmark = pytest.mark.anyio

SEAL = Seal([b"k" * 32])


async def not_here(scope: Scope, receive: Receive, send: Send) -> None:
    """The SDK's answer to the id of a connection that it does not have, or that is somebody else's."""
    await Response(status_code=404)(scope, receive, send)


async def served(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer without a connection."""
    await Response(status_code=200)(scope, receive, send)


async def status(replica: AnyReplica, method: str, *, by: str, connection: str) -> int:
    """What a principal's request on a connection is answered with."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    user = AuthenticatedUser(AccessToken(token="", client_id=by, scopes=[]))
    headers = [(b"mcp-session-id", SEAL.sealed(connection).encode())]
    scope: Scope = {"type": "http", "method": method, "path": "/mcp", "headers": headers, "user": user}
    await replica(scope, receive, send)
    return sent[0]["status"]


async def test_only_its_own_principal_can_end_a_connection() -> None:
    replica = AnyReplica(not_here, served, seal=SEAL, max_body_bytes=1000)
    await status(replica, "DELETE", by="bob", connection="adas")
    assert await status(replica, "POST", by="ada", connection="adas") == 200
    await status(replica, "DELETE", by="ada", connection="adas")
    assert await status(replica, "POST", by="ada", connection="adas") == 404
