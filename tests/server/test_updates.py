"""Subscriptions in both eras: a session that grows, whoever writes it; a list that changes; what ends with a host."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.client import Client
from mcp.client.session import MessageHandlerFnT
from mcp.client.subscriptions import Subscription
from mcp.server.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import (
    EmptyResult,
    ResourceListChangedNotification,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from agent_mcp.errors import StoreError
from agent_mcp.server.updates import MAX_WATCHES, Changed, Subscriber
from agent_mcp.sessions.service import SessionService
from agent_mcp.sessions.watch import Bell
from tests.server.shelf import Shelf, open_shelf, start
from tests.support.host import Home, Host, open_host, open_server
from tests.support.http import Served, open_http
from tests.support.world import calls, says

pytestmark = pytest.mark.anyio

LIST = "the list"
SESSION = ResourceTemplateReference(type="ref/resource", uri="session://{session_id}")
LOOK: tuple[str, dict[str, Any]] = ("t__look", {})


class Ears:
    """What a host of the older era hears."""

    def __init__(self) -> None:
        self._send, self.heard = anyio.create_memory_object_stream[str](1000)

    async def listen(self, message: Any) -> None:
        """The SDK's message handler."""
        match message:
            case ResourceUpdatedNotification(params=params):
                self._send.send_nowait(str(params.uri))
            case ResourceListChangedNotification():
                self._send.send_nowait(LIST)
            case _:
                pass

    def close(self) -> None:
        """No more of it."""
        self._send.close()
        self.heard.close()


async def subscribe(client: Client, uri: str) -> None:
    """`resources/subscribe`, which the SDK's own method calls deprecated."""
    params = SubscribeRequestParams(uri=uri)
    await client.session.send_request(SubscribeRequest(params=params), EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    """`resources/unsubscribe`."""
    params = UnsubscribeRequestParams(uri=uri)
    await client.session.send_request(UnsubscribeRequest(params=params), EmptyResult)


async def silence(heard: MemoryObjectReceiveStream[str], seconds: float = 0.5) -> None:
    """Nothing comes, for longer than it would have taken."""
    with anyio.move_on_after(seconds):
        raise AssertionError(f"heard {await heard.receive()}")


async def drain(heard: MemoryObjectReceiveStream[str], seconds: float = 0.5) -> list[str]:
    """All that comes until nothing has come for so long."""
    found: list[str] = []
    while True:
        with anyio.move_on_after(seconds) as waited:
            found.append(await heard.receive())
        if waited.cancelled_caught:
            return found


@pytest.fixture
async def ears() -> AsyncGenerator[Ears]:
    """A host's."""
    ears = Ears()
    yield ears
    ears.close()


@asynccontextmanager
async def legacy_shelf(folder: Path, ears: Ears, *plan: Any) -> AsyncGenerator[Shelf]:
    """A host of the older era that listens."""
    async with open_shelf(folder, *plan, era="legacy", heard=ears.listen) as shelf:
        yield shelf


async def test_a_subscriber_of_the_older_era_hears_of_its_session_alone(tmp_path: Path, ears: Ears) -> None:
    async with legacy_shelf(tmp_path, ears) as shelf:
        await shelf.start("s1")
        await subscribe(shelf.client, "session://s1")
        await subscribe(shelf.client, "session://s1")
        await start(shelf.service, "s2")
        await silence(ears.heard)
        await shelf.service.send("s1", "again", wait_seconds=10)
        assert set(await drain(ears.heard)) == {"session://s1"}
        await unsubscribe(shelf.client, "session://s1")
        await unsubscribe(shelf.client, "session://never")
        await shelf.service.send("s1", "once more", wait_seconds=10)
        await silence(ears.heard)


async def test_many_events_make_few_notifications(tmp_path: Path, ears: Ears) -> None:
    plan = [calls(*[LOOK] * 20), says("done")]
    async with legacy_shelf(tmp_path, ears, *plan) as shelf:
        await start(shelf.service, "s1", message=None)
        await subscribe(shelf.client, "session://s1")
        await shelf.service.send("s1", "go", wait_seconds=10)
        heard = await drain(ears.heard)
        events = await shelf.world.store.read("s1")
    assert len(events) > 40
    assert 1 <= len(heard) <= 6


async def test_a_step_is_told_of_only_while_it_changes(tmp_path: Path, ears: Ears) -> None:
    async with legacy_shelf(tmp_path, ears) as shelf:
        await shelf.start("s1")
        await subscribe(shelf.client, "session://s1/steps/0")
        await subscribe(shelf.client, "session://s1/steps/1")
        await shelf.service.send("s1", "again", wait_seconds=10)
        assert set(await drain(ears.heard)) == {"session://s1/steps/1"}


async def test_the_older_era_hears_of_the_list_once_it_has_read_it(tmp_path: Path, ears: Ears) -> None:
    async with legacy_shelf(tmp_path, ears) as shelf:
        await start(shelf.service, "s1", message=None)
        await silence(ears.heard)
        await shelf.client.list_resources()
        await shelf.service.send("s1", "hello", wait_seconds=10)
        await start(shelf.service.for_principal("ada"), "adas")
        await silence(ears.heard)
        for number in range(10):
            await start(shelf.service, f"t{number}", message=None)
        assert 1 <= len(await drain(ears.heard)) <= 3
        await shelf.service.close("s1")
        assert await drain(ears.heard) == [LIST]
        await shelf.service.fork("t0", at_step=None)
        assert await drain(ears.heard) == [LIST]


@pytest.mark.parametrize("uri", ["session://adas", "session://nobodys", "agent://unknown", "file:///x"])
async def test_what_cannot_be_read_cannot_be_subscribed_to(tmp_path: Path, ears: Ears, uri: str) -> None:
    async with legacy_shelf(tmp_path, ears) as shelf:
        await start(shelf.service.for_principal("ada"), "adas")
        with pytest.raises(MCPError, match="Resource not found") as refused:
            await subscribe(shelf.client, uri)
        await subscribe(shelf.client, "agent://nobody")
        await shelf.service.for_principal("ada").send("adas", "again", wait_seconds=10)
        await silence(ears.heard)
    assert refused.value.code == -32002


async def test_the_newer_era_is_told_what_it_asked_for_and_no_more(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        await shelf.start("s1")
        await start(shelf.service.for_principal("ada"), "adas")
        uris = ["session://s1", "session://adas", "session://nobodys", "agent://nobody", "agent://x", "x"]
        async with (
            shelf.client.listen(resource_subscriptions=uris) as session,
            shelf.client.listen(resources_list_changed=True, tools_list_changed=True) as sessions,
        ):
            assert session.honored.resource_subscriptions == ["session://s1", "agent://nobody"]
            assert sessions.honored.resources_list_changed and not sessions.honored.tools_list_changed
            await shelf.service.for_principal("ada").send("adas", "again", wait_seconds=10)
            await shelf.service.send("s1", "again", wait_seconds=10)
            assert await anext(session) == ResourceUpdated("session://s1")
            await start(shelf.service, "s2")
            assert await anext(sessions) == ResourcesListChanged()


async def test_a_growth_right_after_the_acknowledgement_is_not_missed(tmp_path: Path) -> None:
    async with open_shelf(tmp_path) as shelf:
        await start(shelf.service, "s1", message=None)
        for number in range(5):
            async with shelf.client.listen(resource_subscriptions=["session://s1"]) as updates:
                await shelf.service.send("s1", f"message {number}", wait_seconds=0)
                assert await anext(updates) == ResourceUpdated("session://s1")
            await shelf.service.send("s1", None, wait_seconds=10)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_nothing_is_followed_for_a_host_that_is_gone(
    tmp_path: Path, ears: Ears, monkeypatch: pytest.MonkeyPatch, era: Any
) -> None:
    following: list[str] = []
    original = SessionService.following

    @asynccontextmanager
    async def counted(self: SessionService, session_id: str) -> AsyncGenerator[Any]:
        async with original(self, session_id) as growth:
            following.append(session_id)
            try:
                yield growth
            finally:
                following.remove(session_id)

    monkeypatch.setattr(SessionService, "following", counted)
    async with open_shelf(tmp_path, era=era, heard=ears.listen) as shelf:
        await shelf.start("s1")
        await shelf.start("s2")
        if era == "legacy":
            await subscribe(shelf.client, "session://s1")
            await subscribe(shelf.client, "session://s2")
            assert following == ["s1", "s2"]
            await unsubscribe(shelf.client, "session://s1")
            await _until_followed(following, ["s2"])
        else:
            uris = ["session://s1", "session://s2"]
            async with shelf.client.listen(resource_subscriptions=uris):
                assert following == ["s1", "s2"]
            await _until_followed(following, [])
    assert following == []


async def _until_followed(following: list[str], wanted: list[str]) -> None:
    while following != wanted:
        await anyio.sleep(0.01)


async def test_where_too_many_wait_already_the_list_is_read_all_the_same(
    tmp_path: Path, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_mcp.server.updates.MAX_SUBSCRIBERS", 0)
    async with legacy_shelf(tmp_path, ears) as shelf:
        await shelf.start("s1")
        assert (await shelf.client.list_resources()).resources
        with pytest.raises(MCPError, match="too many subscribers"):
            await subscribe(shelf.client, "session://s1")


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_store_that_cannot_be_read_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, era: Any
) -> None:
    async def away(*_: object, **__: object) -> Any:
        raise StoreError("the disk is away")

    async with open_shelf(tmp_path, era=era) as shelf:
        await shelf.start("s1")
        for method in ("get", "list"):
            monkeypatch.setattr(shelf.world.store, method, away)
        requests: list[Callable[[], Awaitable[object]]] = [
            lambda: shelf.client.read_resource("session://s1"),
            lambda: shelf.client.list_resources(),
            lambda: shelf.client.complete(SESSION, {"name": "session_id", "value": ""}),
        ]
        if era == "legacy":
            requests.append(lambda: subscribe(shelf.client, "session://s1"))
        for request in requests:
            with pytest.raises(MCPError, match="the disk is away") as refused:
                await request()
            assert refused.value.code == -32603


@asynccontextmanager
async def one_changed() -> AsyncGenerator[Changed]:
    """Something that changes all the time."""
    yield checkpoint


async def test_one_subscriber_may_wait_for_so_much_and_no_more() -> None:
    async def never() -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriber = Subscriber(tasks)
            for number in range(MAX_WATCHES):
                await subscriber.add(str(number), one_changed, never)
            with pytest.raises(MCPError, match="subscriptions"):
                await subscriber.add("one more", one_changed, never)
            subscriber.remove("0")
            await subscriber.add("one more", one_changed, never)
            subscriber.close()


async def test_a_failing_subscription_ends_alone_and_one_whose_store_fails_goes_on() -> None:
    bell, told = Bell(), anyio.Event()
    failures = [StoreError("the disk is away")]

    @asynccontextmanager
    async def unsteady() -> AsyncGenerator[Changed]:
        async def changed() -> None:
            if failures:
                raise failures.pop()
            await bell.rung()

        yield changed

    async def fail() -> None:
        raise RuntimeError("the host is odd")

    async def tell() -> None:
        told.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            subscriber = Subscriber(tasks)
            await subscriber.add("odd", one_changed, fail)
            await subscriber.add("steady", unsteady, tell)
            bell.ring()
            await told.wait()
            subscriber.close()


@asynccontextmanager
async def two_stdio_servers(folder: Path, heard: MessageHandlerFnT) -> AsyncGenerator[tuple[Client, Host]]:
    """A listening host of the older era, and another host on another process with the same store."""
    home = Home(folder)
    with anyio.fail_after(30):
        async with (
            open_host(home) as other,
            open_server(home) as server,
            Client(server.transport(), mode="legacy", message_handler=heard) as client,
        ):
            yield client, other


async def test_growth_that_another_process_writes_is_told_over_stdio(tmp_path: Path, ears: Ears) -> None:
    async with two_stdio_servers(tmp_path, ears.listen) as (client, other):
        await other.call("start_session", session_id="s1", message="hello")
        await subscribe(client, "session://s1")
        await other.say("s1", "again")
        assert await ears.heard.receive() == "session://s1"


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[Served]:
    """A server over HTTP."""
    with anyio.fail_after(30):
        async with open_http(Home(folder)) as server:
            yield server


async def test_over_http_the_newer_era_hears_what_another_connection_does(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.host() as one, server.host() as other:
        await one.call("start_session", session_id="s1", message="hello")
        listening = one.client.listen(resource_subscriptions=["session://s1"], resources_list_changed=True)
        async with listening as updates:
            await other.call("send_message", session_id="s1", message="again")
            assert await anext(updates) == ResourceUpdated("session://s1")
            await other.call("start_session", session_id="s2")
            assert await _first_other(updates) == ResourcesListChanged()


async def _first_other(updates: Subscription) -> object:
    """The next event that is not of the session, whose last one may still be on its way."""
    while True:
        event = await anext(updates)
        if not isinstance(event, ResourceUpdated):
            return event


async def test_over_http_the_older_era_hears_it_on_its_own_stream(tmp_path: Path, ears: Ears) -> None:
    async with served(tmp_path) as server, server.host("legacy") as other:
        await other.call("start_session", session_id="s1", message="hello")
        async with Client(server.address, mode="legacy", message_handler=ears.listen) as client:
            await client.list_resources()
            await subscribe(client, "session://s1")
            # The stream for news is opened beside the first requests: until it is there, nothing can be told.
            while not (heard := await drain(ears.heard, 0.3)):
                await other.call("send_message", session_id="s1", message="again")
            assert set(heard) == {"session://s1"}
            await other.call("close_session", session_id="s1")
            assert LIST in await drain(ears.heard)
