"""Pure rules about a history: which calls are open, and how to close them."""

from collections.abc import Iterable

from agent_mcp.agent.messages import Reply, ResultCode, ToolCall, ToolResult, ToolResults


def open_calls(reply: Reply | None, answered: Iterable[str]) -> tuple[ToolCall, ...]:
    """The calls of `reply` whose ids are not among `answered`, in the order asked."""
    if reply is None:
        return ()
    done = set(answered)
    return tuple(call for call in reply.tool_calls if call.id not in done)


def in_order(reply: Reply, results: Iterable[ToolResult]) -> ToolResults:
    """The results of a reply in the order of its calls, whatever order they arrived in."""
    by_id = {result.call_id: result for result in results}
    return ToolResults(tuple(by_id[call.id] for call in reply.tool_calls if call.id in by_id))


def close_open_calls(calls: Iterable[ToolCall], code: ResultCode, message: str) -> tuple[ToolResult, ...]:
    """One failed result for each call, so that no interruption leaves a call without its result."""
    return tuple(ToolResult.failure(call, code, message) for call in calls)
