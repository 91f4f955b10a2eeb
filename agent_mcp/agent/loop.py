"""The agent: ask the model, run what it calls, until it has nothing more to call or a limit ends it.

The loop is mechanism. It knows no provider, no MCP, no storage; retry, approvals, budgets and timeouts are
wrappers around its ports. What to do next follows from the journal alone, so a turn that was broken off
anywhere goes on from there by the same code.
"""

from collections.abc import Sequence

import anyio

from agent_mcp.agent.events import Emit
from agent_mcp.agent.history import close_open_calls
from agent_mcp.agent.messages import StopReason, ToolCall, ToolResult
from agent_mcp.agent.ports import Journal, Limits, Model, ModelRequest, Toolbox


async def run_turn(
    *,
    model: Model,
    toolbox: Toolbox,
    journal: Journal,
    limits: Limits,
    system: str,
    session_id: str,
    emit: Emit,
) -> StopReason:
    """Run a turn to its end, or go on with one that was broken off; returns why it ended.

    Raises:
        ModelError: the model gave no answer; nothing of that reply was recorded.
        BudgetExceededError: the turn may not even begin.
        FencedError: another runner owns the turn now.
    """
    while True:
        ending = why_ending(journal) or await _overrun(journal, limits)
        if calls := journal.open_calls():
            await (_run(calls, toolbox, journal) if ending is None else _refuse(calls, ending, journal))
            ending = ending or await _overrun(journal, limits)
        if ending is not None and await journal.end(ending):
            return ending
        if ending is not None and (ending := await _overrun(journal, limits)):
            await journal.end(ending)  # There is a message to read, and nothing left to read it with.
            return ending
        history = await journal.read()
        closing = await limits.closing(journal.steps)
        request = ModelRequest(
            system=system,
            tools=toolbox.tools,
            history=history,
            tool_choice="none" if closing else "auto",
            session_id=session_id,
        )
        reply = await model.reply(request, emit)
        await journal.replied(reply, closing=closing)


def why_ending(journal: Journal) -> StopReason | None:
    """Why the turn is over with its last reply; None while something is left to do."""
    reply = journal.last_reply
    if reply is None:
        return None
    if journal.closed_by is not None:
        return journal.closed_by
    match reply.stop:
        case "max_tokens" | "refusal":
            return reply.stop
        case "pause_turn":
            return None
        case "end_turn" | "tool_use":
            return None if reply.tool_calls else "end_turn"


async def _overrun(journal: Journal, limits: Limits) -> StopReason | None:
    return await limits.overrun() if journal.last_reply else None


async def _run(calls: Sequence[ToolCall], toolbox: Toolbox, journal: Journal) -> None:
    """Run the calls side by side, recording each result as it comes."""
    try:
        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(_run_one, call, toolbox, journal)
    except ExceptionGroup as errors:
        # A tool's failure is a value, so what is raised here is the journal's: all of them say the same.
        raise errors.exceptions[0] from errors


async def _run_one(call: ToolCall, toolbox: Toolbox, journal: Journal) -> None:
    if call.arguments is None:
        shown = call.raw_arguments[:200]
        result = ToolResult.failure(
            call, "TOOL_ERROR", f"not run: the arguments are not a JSON object: {shown}"
        )
    else:
        result = await toolbox.call(call)
    await journal.finished(result)


async def _refuse(calls: Sequence[ToolCall], ending: StopReason, journal: Journal) -> None:
    reason = f"not run: the turn was ending ({ending})."
    for result in close_open_calls(calls, "TOOL_DENIED", reason):
        await journal.finished(result)
