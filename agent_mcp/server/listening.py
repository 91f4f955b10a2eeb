"""The stream of one `subscriptions/listen` request (SEP-2575): an acknowledgement, then what its client asked to hear.

The SDK's `ListenHandler` does the same for the notifications of the core protocol alone; extensions have their own.
Knows nothing of what is told.
"""

from typing import Any, Literal, cast

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY, ServerEvent, event_to_notification
from mcp_types import (
    ServerNotification,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenResult,
)
from pydantic import BaseModel


class TaskNotification(BaseModel):
    """`notifications/tasks`: a whole task, as `tasks/get` would tell it."""

    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: dict[str, Any]


class ListenStream:
    """Tells its client things in the order of the calls; who tells waits while the client does not read."""

    def __init__(self, ctx: ServerRequestContext[Any, Any]) -> None:
        self._session = ctx.session
        self._id = ctx.request_id
        self._meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: ctx.request_id}
        self._acknowledged = anyio.Event()

    async def serve(self, honored: SubscriptionFilter) -> SubscriptionsListenResult:
        """Acknowledge, and then keep the stream open until its client goes, which cancels this."""
        params = SubscriptionsAcknowledgedNotificationParams(notifications=honored, _meta=self._meta)
        await self._send(SubscriptionsAcknowledgedNotification(params=params))
        self._acknowledged.set()
        await anyio.sleep_forever()
        return SubscriptionsListenResult(_meta=self._meta)

    async def tell(self, event: ServerEvent) -> None:
        """Something has changed; to be read again."""
        await self._acknowledged.wait()
        await self._send(event_to_notification(event, self._meta))

    async def tell_task(self, task: dict[str, Any]) -> None:
        """How a task stands."""
        await self._acknowledged.wait()
        notification = TaskNotification(params={**task, "_meta": self._meta})
        # The SDK's type names the core protocol's notifications; it sends whatever has a method and params.
        await self._send(cast("ServerNotification", notification))

    async def _send(self, notification: ServerNotification) -> None:
        await self._session.send_notification(notification, related_request_id=self._id)
