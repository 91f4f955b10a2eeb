"""`notifications/tasks`: what a `subscriptions/listen` stream tells of tasks, for who would rather not poll."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, SubscriptionFilter
from pydantic import TypeAdapter, ValidationError

from agent_mcp.server.tasks import Context, Tasks, require_tasks

Json = dict[str, Any]

_TASK_IDS = TypeAdapter(list[str])


class TaskNews:
    """Each status of one task for one listener, from the present one on; what came between two looks is not told."""

    def __init__(self, tasks: Tasks, ctx: Context, task_id: str) -> None:
        self._tasks = tasks
        self._ctx = ctx
        self._task_id = task_id
        self._seen: Json = {}

    @asynccontextmanager
    async def watch(self) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
        """Gives a function that returns once there is something to `tell`.

        Raises:
            MCPError: there is no such task for this listener.
        """
        view = await self._tasks.view(self._ctx, self._task_id)
        async with self._tasks.growth(self._ctx, view) as growth:

            async def changed() -> None:
                while _outline(await self._detailed()) == _outline(self._seen):
                    await growth.__anext__()

            yield changed

    async def tell(self, send: Callable[[Json], Awaitable[None]]) -> None:
        """Send the task as it stands; a listener who was told the end of a turn has been given its result."""
        view = await self._tasks.view(self._ctx, self._task_id)
        self._seen = view.detailed()
        await send(self._seen)
        await self._tasks.delivered(self._ctx, view)

    async def _detailed(self) -> Json:
        return (await self._tasks.view(self._ctx, self._task_id)).detailed()


def wanted_tasks(ctx: Context, wanted: SubscriptionFilter) -> list[str]:
    """The tasks that a `subscriptions/listen` request asks to hear of.

    Raises:
        MCPError: it names some, and its client does not declare the extension; or they are no list of ids.
    """
    task_ids = (wanted.model_extra or {}).get("taskIds")
    if task_ids is None:
        return []
    require_tasks(ctx)
    try:
        return list(dict.fromkeys(_TASK_IDS.validate_python(task_ids)))
    except ValidationError as error:
        raise MCPError(code=INVALID_PARAMS, message="taskIds: must be a list of task ids") from error


def with_tasks(honored: SubscriptionFilter, task_ids: list[str]) -> SubscriptionFilter:
    """The acknowledgement of a `subscriptions/listen` request, with the tasks that will be told of."""
    if not task_ids:
        return honored
    fields = honored.model_dump(by_alias=True, exclude_none=True)
    return SubscriptionFilter.model_validate({**fields, "taskIds": task_ids})


def _outline(task: Json) -> object:
    """What of a task is worth telling anew when it changes."""
    return task.get("status"), list(task.get("inputRequests", ()))
