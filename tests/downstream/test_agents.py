"""A called agent is stopped when a person stops us, and by nothing else."""

from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest

from agent_mcp.agent.messages import ToolCall
from agent_mcp.agent.spending import Bill
from agent_mcp.downstream import agents
from agent_mcp.downstream.agents import ask_agent, runs_agent
from agent_mcp.downstream.faults import ConnectionLostError, RpcError
from agent_mcp.downstream.live import Live
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.errors import FencedError
from agent_mcp.sessions.chain import ALLOWANCE_KEY, ANCESTRY_KEY, CALL_KEY, session_of_call
from agent_mcp.sessions.profile import Caps

pytestmark = pytest.mark.anyio

META = {CALL_KEY: "s1/1/call_1", ANCESTRY_KEY: ["s1@0"]}


class Link:
    """Our turn."""

    def __init__(self) -> None:
        self.cancelled = False

    def allowance(self, call_id: str) -> Caps:
        return Caps(tokens=7)

    def bill(self, call_id: str, bill: Bill) -> None:
        raise AssertionError


class Below:
    """The called agent: one session with one turn."""

    def __init__(self, *, name: str = "agent-mcp", deaf_to: int = 0, frozen: bool = False) -> None:
        self.stopped = anyio.Event()
        self.left = False
        """Whether the call was given up without an answer."""
        self.told: list[JsonObject] = []
        self.asked_with: dict[str, Any] = {}
        self._deaf_to = deaf_to
        self._frozen = frozen
        self.live = cast("Live", self)
        self.channel = self
        self.server_name = name

    async def ask(self, more: Any) -> JsonObject:
        """The call that runs or waits for the turn."""
        self.asked_with = dict(more)
        try:
            await self.stopped.wait()
        except anyio.get_cancelled_exc_class():
            self.left = True
            raise
        return {"content": []}

    async def request(self, method: str, params: JsonObject, *, timeout_seconds: float) -> JsonObject:
        """The tool `cancel`; the first ones may come before there is anything to cancel."""
        self.told.append(params)
        if self._frozen:
            with anyio.move_on_after(timeout_seconds):
                await anyio.sleep_forever()
            raise TimeoutError
        if len(self.told) <= self._deaf_to:
            return {"structuredContent": {"status": None}, "isError": True}
        self.stopped.set()
        return {"structuredContent": {"status": "idle"}}


async def stop_while_waiting(
    below: Below, link: Link, *, call: ToolCall, tool_name: str, before: Callable[[], None]
) -> float:
    """Our scope is cancelled while the call waits; how long it then took to leave."""
    began = 0.0
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                await ask_agent(below.live, call, tool_name=tool_name, meta=META, link=link, ask=below.ask)

            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            before()
            began = anyio.current_time()
            group.cancel_scope.cancel()
        return anyio.current_time() - began


START = ToolCall("call_1", "below__start_session", {"message": "hi"})


@pytest.mark.parametrize(
    ("tool_name", "arguments", "session_id"),
    [
        ("start_session", {}, session_of_call("s1/1/call_1")),
        ("start_session", {"session_id": "mine"}, "mine"),
        ("send_message", {"session_id": "other"}, "other"),
        ("approve", {"session_id": "other", "call_id": "x"}, "other"),
    ],
)
async def test_a_persons_cancel_stops_the_turn_that_the_call_waits_for(
    tool_name: str, arguments: dict[str, Any], session_id: str
) -> None:
    below, link = Below(), Link()
    call = ToolCall("call_1", f"below__{tool_name}", arguments)

    def cancelled() -> None:
        link.cancelled = True

    await stop_while_waiting(below, link, call=call, tool_name=tool_name, before=cancelled)
    assert [params["arguments"] for params in below.told] == [{"session_id": session_id}]
    assert below.told[0]["_meta"] == {ANCESTRY_KEY: ["s1@0"]}
    assert not below.left, "it was waited for"


async def test_a_timeout_a_lost_wish_and_a_shutdown_stop_nothing() -> None:
    below, link = Below(), Link()
    took = await stop_while_waiting(below, link, call=START, tool_name="start_session", before=lambda: None)
    assert (below.told, below.left) == ([], True)
    assert took < 0.2


async def test_a_cancel_that_overtakes_the_call_is_said_again() -> None:
    below, link = Below(deaf_to=1), Link()

    def cancelled() -> None:
        link.cancelled = True

    await stop_while_waiting(below, link, call=START, tool_name="start_session", before=cancelled)
    assert len(below.told) == 2 and not below.left


@pytest.mark.parametrize("below", [Below(frozen=True), Below(deaf_to=99)], ids=["frozen", "nothing runs"])
async def test_one_that_does_not_stop_is_left_in_time(below: Below, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "STOP_SECONDS", 0.9)
    link = Link()

    def cancelled() -> None:
        link.cancelled = True

    took = await stop_while_waiting(below, link, call=START, tool_name="start_session", before=cancelled)
    assert below.left and took < 1.5


async def test_the_call_says_what_may_be_spent_and_brings_back_answers_and_errors() -> None:
    below = Below()
    below.stopped.set()
    answer = await ask_agent(
        below.live, START, tool_name="start_session", meta=META, link=Link(), ask=below.ask
    )
    assert (answer, below.asked_with) == ({"content": []}, {ALLOWANCE_KEY: {"tokens": 7}})
    for error in (RpcError(1, "no"), ConnectionLostError(), TimeoutError(), FencedError()):

        async def fails(more: Any, error: Exception = error) -> JsonObject:
            raise error

        with pytest.raises(type(error)):
            await ask_agent(below.live, START, tool_name="start_session", meta=META, link=Link(), ask=fails)


def test_only_agents_and_only_tools_that_run_turns_are_meant() -> None:
    assert runs_agent(Below().live, "send_message")
    assert not runs_agent(Below().live, "summary")
    assert not runs_agent(Below(name="files").live, "send_message")
