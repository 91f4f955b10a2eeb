"""Which call a server's request belongs to, and what becomes of it when that call, or the wish, is over."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from agent_mcp.downstream.faults import RpcError
from agent_mcp.downstream.inbound import Errand, Inbound
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.patience import Patience

pytestmark = pytest.mark.anyio

ELICIT = "elicitation/create"
CANCEL: JsonObject = {"result": {"action": "cancel"}}


class Somebody:
    """Answers with their own name, once they are let to."""

    def __init__(self, owner: str, answer: Callable[[], Awaitable[None]] | None = None) -> None:
        self.owner = owner
        self._answer = answer

    async def respond(self, method: str, params: JsonObject) -> JsonObject:
        """See the port."""
        if self._answer is not None:
            await self._answer()
        return {"by": self.owner, **params}


def errand(owner: str, answer: Callable[[], Awaitable[None]] | None = None) -> Errand:
    return Errand(Somebody(owner, answer), Patience())


class Desk:
    """An `Inbound` and what it has sent."""

    def __init__(self, fixed: JsonObject | None = None) -> None:
        self.sent: list[JsonObject] = []
        self.inbound = Inbound(self._send, fixed)

    async def _send(self, message: JsonObject) -> None:
        self.sent.append({key: value for key, value in message.items() if key in ("result", "error")})

    async def ask(self, method: str = ELICIT, *, stream: int | None = None, **message: Any) -> JsonObject:
        """What a request is answered."""
        await self.inbound.respond({"id": "q", "method": method, **message}, stream)
        return self.sent[-1]


async def test_a_question_belongs_to_the_only_call_that_runs() -> None:
    desk = Desk()
    assert await desk.ask() == CANCEL
    desk.inbound.begin(1, errand("a"))
    assert await desk.ask(params={"x": 1}) == {"result": {"by": "a", "x": 1}}
    desk.inbound.begin(2, errand("b"))
    assert await desk.ask() == CANCEL
    desk.inbound.end(2, answered=True)
    assert await desk.ask() == {"result": {"by": "a"}}


async def test_of_one_sessions_calls_each_is_asked_about_in_turn() -> None:
    desk, go_on = Desk(), anyio.Event()
    desk.inbound.begin(1, errand("a", go_on.wait))
    desk.inbound.begin(2, errand("a", go_on.wait))
    with anyio.fail_after(2):
        async with anyio.create_task_group() as tasks:
            for number in (1, 2):
                tasks.start_soon(desk.inbound.respond, {"id": number, "method": ELICIT}, None)
            await anyio.wait_all_tasks_blocked()
            # One of the two is over, and one of the two questions with it.
            desk.inbound.end(1, answered=True)
            await anyio.wait_all_tasks_blocked()
            assert desk.sent == [CANCEL]
            go_on.set()
    assert desk.sent == [CANCEL, {"result": {"by": "a"}}]


async def test_a_stream_tells_the_call_also_among_several() -> None:
    desk = Desk()
    desk.inbound.begin(1, errand("a"))
    desk.inbound.begin(2, errand("b"))
    assert await desk.ask(stream=2) == {"result": {"by": "b"}}
    desk.inbound.end(2, answered=True)
    assert await desk.ask(stream=2) == CANCEL


async def test_a_server_may_still_be_at_a_call_that_was_given_up() -> None:
    desk = Desk()
    desk.inbound.begin(1, errand("a"))
    desk.inbound.end(1, answered=False)
    desk.inbound.begin(2, errand("b"))
    assert await desk.ask() == CANCEL
    desk.inbound.answered_late(1)
    assert await desk.ask() == {"result": {"by": "b"}}
    desk.inbound.end(2, answered=False)
    desk.inbound.begin(3, errand("b"))
    assert await desk.ask() == {"result": {"by": "b"}}


async def test_what_nobody_can_answer_is_refused_and_what_is_fixed_needs_no_call() -> None:
    desk = Desk({"roots/list": {"roots": []}})
    assert (await desk.ask("sampling/createMessage"))["error"]["code"] == -32601
    assert await desk.ask("roots/list") == {"result": {"roots": []}}
    assert await desk.ask("ping") == {"result": {}}


async def test_the_calls_end_is_the_questions_end() -> None:
    desk = Desk()
    with anyio.fail_after(2):
        async with anyio.create_task_group() as tasks:
            desk.inbound.begin(1, errand("a", anyio.sleep_forever))
            tasks.start_soon(desk.ask)
            await anyio.wait_all_tasks_blocked()
            desk.inbound.end(1, answered=False)
    assert desk.sent == [CANCEL]


async def test_a_question_that_the_server_withdraws_gets_no_answer() -> None:
    desk = Desk()
    with anyio.fail_after(2):
        async with anyio.create_task_group() as tasks:
            desk.inbound.begin(1, errand("a", anyio.sleep_forever))
            tasks.start_soon(desk.inbound.respond, {"id": 7, "method": ELICIT}, None)
            await anyio.wait_all_tasks_blocked()
            for params in (None, {}, {"requestId": 8}, {"requestId": 7}):
                desk.inbound.withdraw(params)
    assert desk.sent == []


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (RpcError(-1, "no"), {"error": {"code": -1, "message": "no"}}),
        (KeyError("a bug"), CANCEL),
    ],
)
async def test_whoever_fails_to_answer_harms_nobody_else(error: Exception, answer: JsonObject) -> None:
    async def fail() -> None:
        raise error

    desk = Desk()
    desk.inbound.begin(1, errand("a", fail))
    assert await desk.ask() == answer


async def test_the_calls_time_stands_still_while_its_question_is_answered() -> None:
    async def slow() -> None:
        await anyio.sleep(0.2)

    desk, patience = Desk(), Patience(0.1)
    desk.inbound.begin(1, Errand(Somebody("a", slow), patience))
    with anyio.fail_after(2), patience.running():
        await desk.ask()
    assert not patience.is_over
    with anyio.fail_after(2), patience.running():
        await anyio.sleep_forever()
    assert patience.is_over
