"""The suite's fixtures that run as tasks (`tasks-*`): each is a turn of a session of ours, started by our own
`start_session`, so that what the suite sees is our extension, our log and our approvals.

One thing no turn of ours ever does: a task that fails by an error of the protocol. That task is made up here.
"""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import RequestHandler

from agent_mcp.config.schema import AgentEntry, ApprovalsEntry, ModelEntry, ServerEntry
from agent_mcp.server.tasks import TaskParams, UpdateParams, require_tasks
from tests.conformance.contents import text_result
from tests.conformance.rounds import ask, needed
from tests.support.host import ROOT

Context = ServerRequestContext[Any, Any]
Arguments = Mapping[str, Any]
Handler = RequestHandler[Any, Any]
Json = dict[str, Any]

_STAMP = "2026-07-28T00:00:00Z"
_FAILED: Json = {
    "taskId": "failed-by-the-protocol",
    "createdAt": _STAMP,
    "lastUpdatedAt": _STAMP,
    "ttlMs": None,
}

SERVERS = {
    "raw": ServerEntry(
        command=sys.executable, args=("-m", "tests.support.servers.raw"), cwd=str(ROOT), type="stdio"
    )
}
AGENTS = {
    "worker": AgentEntry(approvals="off"),
    "asking": AgentEntry(approvals=ApprovalsEntry(ask=("*",))),
    "failing": AgentEntry(model="failing"),
}


def failing_model(folder: Path) -> ModelEntry:
    """A model that fails for good after a second."""
    script = {"replies": [{"delay_seconds": 1, "error": {"status": 400, "message": "it failed"}}]}
    file = folder / "failing.json"
    file.write_text(json.dumps(script), encoding="utf-8")
    return ModelEntry(use=f"scripted:{file}")


def command(tool: str, **arguments: Any) -> str:
    """A line that has the built-in model call a tool."""
    return f"/call raw__{tool} {json.dumps(arguments)}"


Start = Callable[[str, str], Awaitable[Any]]
"""Start a session of an agent with a message."""
TurnFixture = Callable[[Context, types.CallToolRequestParams, Start], Awaitable[Any]]


async def greet(ctx: Context, params: types.CallToolRequestParams, start: Start) -> Any:
    """Never a task."""
    return text_result(f"Hello, {(params.arguments or {})['name']}!")


async def slow_compute(ctx: Context, params: types.CallToolRequestParams, start: Start) -> Any:
    """Takes its time."""
    seconds = (params.arguments or {})["seconds"]
    return await start("worker", command("slow", seconds=seconds) if seconds else "nothing to do")


async def failing_job(ctx: Context, params: types.CallToolRequestParams, start: Start) -> Any:
    """A turn that ends in an error; only for who takes tasks."""
    require_tasks(ctx)
    return await start("failing", "try")


async def confirm_delete(ctx: Context, params: types.CallToolRequestParams, start: Start) -> Any:
    """One approval."""
    return await start("asking", command("echo", file=(params.arguments or {})["filename"]))


async def multi_input(ctx: Context, params: types.CallToolRequestParams, start: Start) -> Any:
    """Two approvals at once."""
    return await start("asking", "\n".join([command("echo", file="a"), command("echo", file="b")]))


async def protocol_error_job(ctx: Context, params: types.CallToolRequestParams, start: Start) -> Any:
    """Becomes a task that fails."""
    require_tasks(ctx)
    return {"resultType": "task", **_FAILED, "status": "working"}


async def with_task(ctx: Context, params: types.CallToolRequestParams, start: Start) -> Any:
    """Asks first, by rounds of its own; then the turn is a task."""
    require_tasks(ctx)
    answer = (params.input_responses or {}).get("user_name")
    if not isinstance(answer, types.ElicitResult):
        return needed({"user_name": ask("What is your name?", "name")}, "asked")
    name = (answer.content or {}).get("name")
    return await start("worker", "\n".join([command("slow", seconds=1), command("echo", name=name)]))


TURNS: dict[str, TurnFixture] = {
    "greet": greet,
    "slow_compute": slow_compute,
    "failing_job": failing_job,
    "confirm_delete": confirm_delete,
    "multi_input": multi_input,
    "protocol_error_job": protocol_error_job,
    "test_tool_with_task": with_task,
}
"""Tools by the names that the suite calls."""


async def call_turn(ctx: Context, params: types.CallToolRequestParams, call_ours: Handler) -> Any:
    """Run the fixture of this name."""

    async def start(agent: str, message: str) -> Any:
        arguments = {"agent": agent, "message": message}
        return await call_ours(ctx, types.CallToolRequestParams(name="start_session", arguments=arguments))

    return await TURNS[params.name](ctx, params, start)


def getting(get_ours: Handler) -> Handler:
    """`tasks/get`, which knows the made-up task too."""

    async def get(ctx: Context, params: TaskParams) -> Any:
        if params.task_id == _FAILED["taskId"]:
            error = {"code": types.INTERNAL_ERROR, "message": "The job panicked."}
            return {**_FAILED, "status": "failed", "error": error}
        return await get_ours(ctx, params)

    return get


def updating(update_ours: Handler) -> Handler:
    """`tasks/update`; the suite answers every question with `confirm`, whatever the form asks for."""

    async def update(ctx: Context, params: UpdateParams) -> Any:
        said = {key: _confirmed(answer) for key, answer in params.input_responses.items()}
        return await update_ours(ctx, params.model_copy(update={"input_responses": said}))

    return update


def _confirmed(answer: Json) -> Json:
    if not answer.get("content", {}).get("confirm"):
        return answer
    return {**answer, "content": {"call_1": "allow"}}
