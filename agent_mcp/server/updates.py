"""Telling hosts that a session has grown, that there is another one, or how a task stands, in both eras.

Up to 2025-11-25 a connection subscribes to URIs (`resources/subscribe`), and whoever has listed resources hears of
changes of the list. From 2026-07-28 on a `subscriptions/listen` request says what its stream shall carry. Either way
a log is followed only while somebody wants to hear of it, as the caller may see it; nothing outlives its connection.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp.server.connection import Connection
from mcp.server.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionFilter,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from agent_mcp.errors import AgentNotFoundError, SessionNotFoundError, StoreError
from agent_mcp.server.listening import ListenStream
from agent_mcp.server.resources import Context, Resources, ServiceFor
from agent_mcp.server.task_news import TaskNews, wanted_tasks, with_tasks
from agent_mcp.server.tasks import Tasks
from agent_mcp.server.uris import AgentUri, SessionUri, StepUri, parse_uri, resource_not_found
from agent_mcp.sessions.cards import AgentCards
from agent_mcp.sessions.service import SessionService

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.25
"""The least time between two notifications of one thing: what happens meanwhile is told in one."""
MAX_WATCHES = 100
"""What one connection or stream may wait for at once."""
MAX_SUBSCRIBERS = 2_000
"""Connections and streams that wait for something, in this process."""

_KEY = "agent_mcp.updates"
_LIST = ""
"""The place of the list among a subscriber's URIs."""
_TASK = "task:"
"""Before the ids of tasks, in the same place."""

Changed = Callable[[], Awaitable[object]]
"""Returns once something has changed since it last returned."""
Watch = Callable[[], AbstractAsyncContextManager[Changed]]
Notify = Callable[[], Awaitable[None]]


class Subscriber:
    """What one connection, or one listen stream, waits for."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._scopes: dict[str, anyio.CancelScope] = {}

    async def add(self, uri: str, watch: Watch, notify: Notify) -> None:
        """Call `notify` after each change from now on; a URI that is waited for already stays as it is.

        Raises:
            MCPError: too many.
            PublicError: what `watch` raises when it is opened.
        """
        if uri in self._scopes:
            return
        if len(self._scopes) >= MAX_WATCHES:
            raise MCPError(code=INVALID_REQUEST, message=f"More than {MAX_WATCHES} subscriptions at once.")
        scope = self._scopes[uri] = anyio.CancelScope()
        try:
            await self._tasks.start(_tell, scope, watch, notify)
        except BaseException:
            self.remove(uri)
            raise

    def remove(self, uri: str) -> None:
        """No longer."""
        scope = self._scopes.pop(uri, None)
        if scope is not None:
            scope.cancel()

    def close(self) -> None:
        """Nothing any more."""
        for uri in tuple(self._scopes):
            self.remove(uri)


async def _tell(
    scope: anyio.CancelScope, watch: Watch, notify: Notify, *, task_status: TaskStatus[None]
) -> None:
    with scope:
        async with watch() as changed:
            task_status.started()
            try:
                await _tell_each(changed, notify)
            except SessionNotFoundError:
                log.debug("a subscription ended: its session was deleted")
            except Exception:
                # This task shares its group with every other subscription of the process.
                log.exception("a subscription ended")


async def _tell_each(changed: Changed, notify: Notify) -> None:
    while True:
        try:
            await changed()
        except StoreError as error:
            log.warning("a subscription can't follow its session now: %s", error)
        else:
            await notify()
        await anyio.sleep(INTERVAL_SECONDS)


@asynccontextmanager
async def open_tasks(server: object) -> AsyncGenerator[TaskGroup]:
    """The server's lifespan: a home for the tasks of subscriptions, which outlive the requests that make them."""
    async with anyio.create_task_group() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()


class Updates:
    """The subscriptions of all hosts. Its requests must run within `open_tasks` as the server's lifespan."""

    def __init__(
        self, service_for: ServiceFor, resources: Resources, cards: AgentCards, tasks: Tasks
    ) -> None:
        self._service_for = service_for
        self._resources = resources
        self._cards = cards
        self._tasks = tasks
        self._subscribers: set[Subscriber] = set()

    async def subscribe(self, ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
        """`resources/subscribe`.

        Raises:
            MCPError: there is no such resource for this caller, or the connection has too many subscriptions.
        """
        uri, connection = str(params.uri), _connection(ctx)
        try:
            watch = self._watch(ctx, uri)
            if watch is not None:
                await self._subscriber(ctx, connection).add(
                    uri, watch, lambda: connection.send_resource_updated(uri)
                )
        except (SessionNotFoundError, AgentNotFoundError) as error:
            raise resource_not_found(uri, ctx.protocol_version) from error
        except StoreError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        return EmptyResult()

    async def unsubscribe(self, ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        """`resources/unsubscribe`; what was never subscribed to is no error."""
        subscriber = _connection(ctx).state.get(_KEY)
        if isinstance(subscriber, Subscriber):
            subscriber.remove(str(params.uri))
        return EmptyResult()

    async def listed(self, ctx: Context) -> None:
        """The caller gets a list of resources: from now on its connection is told when that grows old."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return
        connection = _connection(ctx)
        watch = _watch_list(self._service_for(ctx))
        try:
            await self._subscriber(ctx, connection).add(_LIST, watch, connection.send_resource_list_changed)
        except MCPError as error:
            # It did not ask for this, and gets its list all the same.
            log.warning("a host will not be told of new sessions: %s", error)

    async def listen(
        self, ctx: Context, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """`subscriptions/listen`: one stream, until its client goes. What leads nowhere is not acknowledged.

        Raises:
            MCPError: it asks for tasks without the extension, or for too much.
        """
        stream, subscriber = ListenStream(ctx), self._new_subscriber(ctx)
        wanted = params.notifications
        try:
            uris = [
                uri
                for uri in dict.fromkeys(wanted.resource_subscriptions or ())
                if await self._listens(ctx, uri, subscriber, stream)
            ]
            tasks = [
                task_id
                for task_id in wanted_tasks(ctx, wanted)
                if await self._listens_to_task(ctx, task_id, subscriber, stream)
            ]
            if wanted.resources_list_changed:
                watch = _watch_list(self._service_for(ctx))
                await subscriber.add(_LIST, watch, partial(stream.tell, ResourcesListChanged()))
            honored = SubscriptionFilter(
                resources_list_changed=wanted.resources_list_changed, resource_subscriptions=uris or None
            )
            return await stream.serve(with_tasks(honored, tasks))
        finally:
            subscriber.close()
            self._subscribers.discard(subscriber)

    async def _listens(self, ctx: Context, uri: str, subscriber: Subscriber, stream: ListenStream) -> bool:
        try:
            watch = self._watch(ctx, uri)
            if watch is not None:
                await subscriber.add(uri, watch, partial(stream.tell, ResourceUpdated(uri)))
        except (SessionNotFoundError, AgentNotFoundError, MCPError):
            return False
        return True

    async def _listens_to_task(
        self, ctx: Context, task_id: str, subscriber: Subscriber, stream: ListenStream
    ) -> bool:
        news = TaskNews(self._tasks, ctx, task_id)
        try:
            await subscriber.add(f"{_TASK}{task_id}", news.watch, partial(news.tell, stream.tell_task))
        except (SessionNotFoundError, MCPError):
            return False
        return True

    def _watch(self, ctx: Context, uri: str) -> Watch | None:
        """How to follow a resource; None for one that never changes while this process lives.

        Raises:
            AgentNotFoundError: no agent has this name.
            MCPError: the URI is none of ours.
        """
        match parse_uri(uri):
            case SessionUri(session_id=session_id):
                return _watch_session(self._service_for(ctx), session_id)
            case StepUri(session_id=session_id):
                return _watch_document(self._service_for(ctx), session_id, lambda: self._read(ctx, uri))
            case AgentUri(name=name):
                self._cards.profile(name)
                return None
            case None:
                raise resource_not_found(uri, ctx.protocol_version)

    async def _read(self, ctx: Context, uri: str) -> str | None:
        """The text of a resource; None if it is not there yet."""
        try:
            _, text = await self._resources.document(ctx, uri)
        except MCPError:
            return None
        return text

    def _subscriber(self, ctx: Context, connection: Connection) -> Subscriber:
        """The connection's one, which ends with it."""
        known = connection.state.get(_KEY)
        if isinstance(known, Subscriber):
            return known
        subscriber = connection.state[_KEY] = self._new_subscriber(ctx)
        connection.exit_stack.callback(self._subscribers.discard, subscriber)
        connection.exit_stack.callback(subscriber.close)
        return subscriber

    def _new_subscriber(self, ctx: Context) -> Subscriber:
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise MCPError(code=INVALID_REQUEST, message="This server has too many subscribers now.")
        subscriber = Subscriber(ctx.lifespan_context)
        self._subscribers.add(subscriber)
        return subscriber


def _connection(ctx: Context) -> Connection:
    """The caller's connection: its end, and a channel that belongs to no request.

    The SDK documents both for handlers, but its low-level context has no public way to them (mcp 2.3).
    """
    return ctx.session._connection  # pyright: ignore[reportPrivateUsage] see above


def _watch_session(service: SessionService, session_id: str) -> Watch:
    @asynccontextmanager
    async def watch() -> AsyncGenerator[Changed]:
        async with service.following(session_id) as growth:
            yield growth.__anext__

    return watch


def _watch_document(
    service: SessionService, session_id: str, read: Callable[[], Awaitable[str | None]]
) -> Watch:
    """For a part of a session: most of what its log grows by does not change it."""

    @asynccontextmanager
    async def watch() -> AsyncGenerator[Changed]:
        async with service.following(session_id) as growth:
            seen = await read()

            async def changed() -> None:
                nonlocal seen
                before = seen
                while seen == before:
                    await growth.__anext__()
                    seen = await read()

            yield changed

    return watch


def _watch_list(service: SessionService) -> Watch:
    @asynccontextmanager
    async def watch() -> AsyncGenerator[Changed]:
        with service.watching_list() as bell:
            yield bell.rung

    return watch
