"""The extension `io.modelcontextprotocol/tasks` (SEP-2663) for hosts from 2026-07-28 on that declare it.

A call whose turn is not over soon is answered by a task, which stands for the turn; `tasks/get`, `tasks/update` and
`tasks/cancel` then read and write the session's log like any other call, so a task outlives the process that made it.
Hosts that don't declare the extension, and all of the older era, notice nothing of it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any, cast

from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    CallToolResult,
    ElicitResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.requests import Request

from agent_mcp.errors import InvalidArgumentError, PublicError, SessionNotFoundError
from agent_mcp.server.asking import asker_for, decided
from agent_mcp.server.hosts import HostWait
from agent_mcp.server.presence import is_gone, when_sent
from agent_mcp.server.relaying import given_of, modes_of
from agent_mcp.server.settling import Answers, Decision, settle
from agent_mcp.server.task_view import TaskId, TaskView, answered, parse_task_id
from agent_mcp.sessions.events import InputShown
from agent_mcp.sessions.service import SessionService

EXTENSION = "io.modelcontextprotocol/tasks"

SOON = HostWait(0.5, cap_seconds=0.5)
"""How long a call waits for its turn before a task is made of it: short turns need none."""
TURN_TOOLS = frozenset({"start_session", "send_message", "approve"})

Context = ServerRequestContext[Any, Any]
ServiceFor = Callable[[Context], SessionService]
CallTool = Callable[[Context, CallToolRequestParams], Awaitable[HandlerResult]]
Json = dict[str, Any]


class TaskParams(RequestParams):
    """Of `tasks/get` and `tasks/cancel`."""

    task_id: str


class UpdateParams(TaskParams):
    """Of `tasks/update`."""

    input_responses: dict[str, Any]
    """By the keys of `inputRequests`. What stands under other keys may be anything, and is ignored."""


def takes_tasks(ctx: Context) -> bool:
    """Whether this request may be answered by a task: each one says so for itself."""
    declared = ctx.session.client_capabilities
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS or declared is None:
        return False
    return EXTENSION in (declared.extensions or {})


def require_tasks(ctx: Context) -> None:
    """Raises:
    MCPError: this request's client does not declare the extension, or is of the older era.
    """
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(code=METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
    if not takes_tasks(ctx):
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message=f"The client must declare the extension {EXTENSION}.",
            data={"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )


class Tasks:
    """The turns of all sessions as tasks; each caller finds those of its own sessions."""

    def __init__(self, service_for: ServiceFor, *, outside: bool = False) -> None:
        """`outside`: approvals are not answered by hosts."""
        self._service_for = service_for
        self._outside = outside

    def around(self, call_tool: CallTool) -> CallTool:
        """`tools/call`, with a task in place of the result of a turn that is not over."""

        async def call(ctx: Context, params: CallToolRequestParams) -> HandlerResult:
            result = await call_tool(ctx, params)
            if params.name not in TURN_TOOLS or not takes_tasks(ctx):
                return result
            return await self._task_of(ctx, result) or result

        return call

    async def get(self, ctx: Context, params: TaskParams) -> Json:
        """`tasks/get`: where the task stands, and its result once it is over, which then counts as delivered.

        Raises:
            MCPError: as `view`, or the client must not ask.
        """
        _check(ctx, params.task_id)
        view = await self.view(ctx, params.task_id)
        if not is_gone(ctx):
            await self._shown(ctx, view)
            await when_sent(ctx, partial(self._service_for(ctx).delivered, view.report))
        return view.detailed()

    async def update(self, ctx: Context, params: UpdateParams) -> Json:
        """`tasks/update`: a person's answers; those to questions that don't wait any more are ignored.

        Raises:
            MCPError: as `view`, or the client must not ask, or an answer is none.
        """
        _check(ctx, params.task_id)
        view = await self.view(ctx, params.task_id)
        decisions: dict[str, Decision] = {}
        for key, call in view.questions.items() if not self._outside else ():
            if key in params.input_responses:
                result = _answer(key, params.input_responses[key])
                decisions |= decided(result, [call.call.id])
        for input_id in view.inputs.keys() & params.input_responses.keys():
            given = given_of(input_id, _answer(input_id, params.input_responses[input_id]))
            await self._service_for(ctx).answer_input(view.id.session_id, given)
        await self._settle(ctx, view.id.session_id, decisions)
        return {}

    async def cancel(self, ctx: Context, params: TaskParams) -> Json:
        """`tasks/cancel`: stops the turn, if it still runs.

        Raises:
            MCPError: as `view`, or the client must not ask.
        """
        _check(ctx, params.task_id)
        view = await self.view(ctx, params.task_id)
        service = self._service_for(ctx)
        try:
            report = await service.cancel(view.id.session_id, only=view.id.turn)
            # Who cancels a task need not ask for it again, and may well say the same thing anew.
            if (report.turn, report.stop_reason) == (view.id.turn, "cancelled"):
                await service.delivered(report)
        except PublicError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        return {}

    async def view(self, ctx: Context, task_id: str) -> TaskView:
        """The task as it stands now.

        Raises:
            MCPError: there is no such task, or none for this caller; or the store fails.
        """
        named = parse_task_id(task_id)
        if named is None:
            raise _unknown(task_id)
        try:
            state = (await self._service_for(ctx).summary(named.session_id)).state
        except (SessionNotFoundError, InvalidArgumentError) as error:
            raise _unknown(task_id) from error
        except PublicError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        if named.turn > len(state.turns) or named.part > answered(state.turns[named.turn - 1]):
            raise _unknown(task_id)
        can_ask = not self._outside and asker_for(ctx) is not None
        return TaskView(
            named,
            state,
            state.turns[named.turn - 1],
            can_ask=can_ask,
            modes=modes_of(ctx),
            outside=self._outside,
        )

    async def delivered(self, ctx: Context, view: TaskView) -> None:
        """The task went to a caller who is still there: who sees its questions, or knows the end of its turn."""
        await self._shown(ctx, view)
        await self._service_for(ctx).delivered(view.report)

    async def _shown(self, ctx: Context, view: TaskView) -> None:
        service = self._service_for(ctx)
        for input_id in view.inputs:
            await service.answer_input(view.id.session_id, InputShown(input_id))
        if view.can_ask and view.questions:
            await service.shown(view.id.session_id, [call.call.id for call in view.questions.values()])

    def growth(self, ctx: Context, view: TaskView) -> AbstractAsyncContextManager[AsyncIterator[object]]:
        """What the log of the task's session grows by from now on."""
        return self._service_for(ctx).following(view.id.session_id)

    async def _task_of(self, ctx: Context, result: HandlerResult) -> Json | None:
        """The task that stands for a result which says that its turn goes on; None for any other result."""
        if not isinstance(result, CallToolResult) or result.is_error:
            return None
        content = cast("Json", result.structured_content)
        if not content["turn"] or content["stop_reason"] is not None:
            return None
        whole = TaskId(content["session_id"], content["turn"])
        view = await self.view(ctx, str(whole))
        view = replace(view, id=replace(whole, part=answered(view.turn)))
        if view.status == "completed" and view.turn.ended is None:
            # What waits for a person who can't be asked must be read in the result itself.
            return None
        return {"resultType": "task", **view.seed()}

    async def _settle(self, ctx: Context, session_id: str, decisions: Answers) -> None:
        try:
            await settle(self._service_for(ctx), session_id, decisions)
        except PublicError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error


def _check(ctx: Context, task_id: str) -> None:
    """Raises:
    MCPError: the client may not ask for tasks, or says another task in its header than in its request (SEP-2243).
    """
    require_tasks(ctx)
    request = ctx.request
    if isinstance(request, Request) and decode_header_value(request.headers.get(MCP_NAME_HEADER)) != task_id:
        raise MCPError(code=HEADER_MISMATCH, message=f"{MCP_NAME_HEADER} header does not match taskId")


def _unknown(task_id: str) -> MCPError:
    """The same for what never existed and for what is somebody else's."""
    return MCPError(code=INVALID_PARAMS, message=f"Unknown task {task_id[:100]!r}.")


def _answer(key: str, given: object) -> ElicitResult:
    try:
        return ElicitResult.model_validate(given)
    except ValidationError as error:
        message = f"inputResponses.{key[:100]}: is no answer to an elicitation."
        raise MCPError(code=INVALID_PARAMS, message=message) from error
