"""A principal's share of requests over time, without a server: a clock that the test turns."""

from dataclasses import dataclass
from typing import Any

import pytest
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.types import Message, Receive, Scope, Send

from agent_mcp.server.guards import HostGuard, RequestLimit, allowed_names

pytestmark = pytest.mark.anyio


@dataclass
class HandClock:
    """A clock that a test turns."""

    seconds: float = 0.0

    def now(self) -> float:
        """As it was turned."""
        return self.seconds

    def monotonic(self) -> float:
        """The same."""
        return self.seconds


async def accept(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the guard."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def status(guard: RequestLimit, name: str = "") -> tuple[int, str]:
    """What a request of this principal is answered, and when it may come again."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("a request's body is nothing to the guard")

    user: Any = AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[])) if name else None
    await guard({"type": "http", "user": user}, receive, send)
    headers = dict(sent[0]["headers"])
    return sent[0]["status"], headers.get(b"retry-after", b"").decode()


async def test_a_minutes_worth_may_come_at_once_and_comes_back_evenly() -> None:
    clock = HandClock()
    guard = RequestLimit(accept, 6, clock)
    assert [(await status(guard))[0] for _ in range(7)] == [200] * 6 + [429]
    assert (await status(guard)) == (429, "10")
    clock.seconds += 7.5
    assert (await status(guard)) == (429, "3")
    clock.seconds += 2.5
    assert [(await status(guard))[0] for _ in range(2)] == [200, 429]
    clock.seconds += 3600
    assert [(await status(guard))[0] for _ in range(7)] == [200] * 6 + [429]


async def test_one_principal_does_not_use_up_anothers_share() -> None:
    guard = RequestLimit(accept, 1, HandClock())
    answers = [(await status(guard, name))[0] for name in ("ada", "bob", "ada", "", "")]
    assert answers == [200, 200, 429, 200, 429]


async def test_many_principals_take_no_room_once_they_are_quiet() -> None:
    clock = HandClock()
    guard = RequestLimit(accept, 1, clock)
    for number in range(10_000):
        assert (await status(guard, f"p{number}"))[0] == 200
    clock.seconds += 61
    assert (await status(guard, "one more"))[0] == 200
    assert (await status(guard, "one more"))[0] == 429


@pytest.mark.parametrize(("bound", "name"), [("10.0.0.1", "10.0.0.1:*"), ("fd00::1", "[fd00::1]:*")])
def test_an_address_that_others_reach_is_called_by_its_own_name_and_not_this_machines(
    bound: str, name: str
) -> None:
    allowed = allowed_names(bound, hosts=["mcp.example.org"], origins=[])
    assert {name, "mcp.example.org", "mcp.example.org:*"} < set(allowed.allowed_hosts)
    assert "localhost:*" not in allowed.allowed_hosts and not allowed.allowed_origins


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("MCP.example.ORG:443", "https://app.example.org", 200),
        ("mcp.example.org", "HTTPS://App.Example.Org", 200),
        ("mcp.example.net", "https://app.example.org", 421),
        ("mcp.example.org", "https://app.example.net", 403),
    ],
)
async def test_names_of_hosts_are_the_same_in_capitals(host: str, origin: str, status: int) -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    allowed = allowed_names("10.0.0.1", hosts=["Mcp.Example.org"], origins=["https://App.example.org"])
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    await HostGuard(app, allowed)(scope, receive, send)
    assert sent[0]["status"] == status
