"""The loop alone, with a journal in memory: what it does next follows from the journal."""

from collections.abc import Sequence

import anyio
import pytest

from agent_mcp.agent.events import Happening
from agent_mcp.agent.history import close_open_calls, in_order, open_calls
from agent_mcp.agent.limits import StepLimit
from agent_mcp.agent.loop import run_turn
from agent_mcp.agent.messages import (
    Message,
    Reply,
    StopReason,
    Text,
    ToolCall,
    ToolResult,
    ToolResults,
    Usage,
    UserMessage,
)
from agent_mcp.agent.tools import Tool
from agent_mcp.errors import FencedError
from tests.support.world import PlannedModel, calls, says

pytestmark = pytest.mark.anyio


def is_complete(history: Sequence[Message]) -> bool:
    """Whether every call in the history has exactly one result, directly after its reply."""
    for index, message in enumerate(history):
        if not isinstance(message, Reply) or not message.tool_calls:
            continue
        following = history[index + 1] if index + 1 < len(history) else None
        if not isinstance(following, ToolResults):
            return False
        if [r.call_id for r in following.results] != [c.id for c in message.tool_calls]:
            return False
    return True


class MemoryJournal:
    """The port `Journal` in a list."""

    def __init__(self, *history: Message, late: Sequence[str] = ()) -> None:
        self.history: list[Message] = list(history)
        self.replies = [message for message in history if isinstance(message, Reply)]
        self.results: dict[str, ToolResult] = {}
        self.late = list(late)
        self.closing: StopReason | None = None
        self.fenced = False

    @property
    def steps(self) -> int:
        return len(self.replies)

    @property
    def last_reply(self) -> Reply | None:
        return self.replies[-1] if self.replies else None

    @property
    def closed_by(self) -> StopReason | None:
        return self.closing

    def open_calls(self) -> Sequence[ToolCall]:
        return open_calls(self.last_reply, self.results)

    async def read(self) -> Sequence[Message]:
        return self.history

    async def replied(self, reply: Reply, *, closing: StopReason | None) -> None:
        self.history.append(reply)
        self.replies.append(reply)
        self.closing = closing

    async def finished(self, result: ToolResult) -> None:
        if self.fenced:
            raise FencedError
        self.results[result.call_id] = result
        if not self.open_calls():
            self.history.append(in_order(self.replies[-1], self.results.values()))

    async def end(self, stop_reason: StopReason) -> bool:
        if stop_reason == "end_turn" and self.late:
            self.history.append(UserMessage(self.late.pop(0)))
            return False
        return True


class EchoTools:
    """A toolbox that says what it was asked."""

    tools: Sequence[Tool] = ()

    def __init__(self) -> None:
        self.called: list[str] = []

    async def call(self, call: ToolCall) -> ToolResult:
        self.called.append(call.name)
        return ToolResult(call.id, (Text(str(call.arguments)),))


def ignore(happening: Happening) -> None:
    pass


async def run(
    journal: MemoryJournal, *plan: Reply, tools: EchoTools | None = None, max_steps: int = 5
) -> StopReason:
    with anyio.fail_after(5):
        return await run_turn(
            model=PlannedModel(plan),
            toolbox=tools or EchoTools(),
            journal=journal,
            limits=StepLimit(max_steps),
            system="",
            session_id="s",
            emit=ignore,
        )


async def test_a_turn_that_was_broken_off_after_a_reply_runs_its_calls_first() -> None:
    reply = calls(("a", {}), ("b", {}))
    journal, tools = MemoryJournal(UserMessage("hi"), reply), EchoTools()
    first = reply.tool_calls[0]
    journal.results[first.id] = ToolResult(first.id, (Text("kept"),))
    assert await run(journal, says("-"), says("done"), tools=tools) == "end_turn"
    assert tools.called == ["b"]
    assert is_complete(journal.history)


async def test_arguments_that_are_no_object_are_never_run() -> None:
    broken = Reply((ToolCall("c1", "a", None, raw_arguments='{"x": '),), "tool_use")
    journal, tools = MemoryJournal(UserMessage("hi")), EchoTools()
    model = PlannedModel([broken, says("sorry")])
    await run(journal, *[r for r in model.plan if isinstance(r, Reply)], tools=tools)
    results = next(m for m in journal.history if isinstance(m, ToolResults))
    assert tools.called == []
    assert '{"x": ' in results.results[0].text and results.results[0].is_error


async def test_a_late_message_is_answered_before_the_turn_ends() -> None:
    journal = MemoryJournal(UserMessage("hi"), late=["and?"])
    assert await run(journal, says("one"), says("two")) == "end_turn"
    assert journal.steps == 2


async def test_being_fenced_off_while_tools_run_is_told_plainly() -> None:
    journal = MemoryJournal(UserMessage("hi"))
    journal.fenced = True
    with pytest.raises(FencedError):
        await run(journal, calls(("a", {}), ("b", {})))


def test_closing_open_calls_gives_each_exactly_one_result() -> None:
    reply = calls(("a", {}), ("b", {}), ("c", {}))
    done = [reply.tool_calls[1].id]
    closed = close_open_calls(open_calls(reply, done), "INTERRUPTED", "gone")
    assert [result.call_id for result in closed] == [reply.tool_calls[0].id, reply.tool_calls[2].id]
    assert all(result.is_error and result.text == "INTERRUPTED: gone" for result in closed)
    assert open_calls(None, []) == ()


def test_the_cost_of_a_sum_is_known_only_if_every_cost_is() -> None:
    assert Usage.total([]) == Usage()
    assert Usage.total([Usage(1, 2, cost_usd=0.5), Usage(3, 4, cost_usd=0.25)]) == Usage(4, 6, cost_usd=0.75)
    assert Usage.total([Usage(1, 2, cost_usd=0.5), Usage(3, 4)]).cost_usd is None
