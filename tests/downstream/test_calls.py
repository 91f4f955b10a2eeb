"""What is sent twice and what never is; what a server may ask during a call."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from agent_mcp.agent.messages import ToolResult
from agent_mcp.agent.tools import Tool
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.calls import Order, run_call
from agent_mcp.downstream.connection import Connection
from agent_mcp.downstream.desk import CallDesk
from agent_mcp.downstream.faults import LOST, NOT_SENT, SESSION_GONE
from agent_mcp.downstream.live import Server
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.tool_ports import ToolScope
from tests.downstream.conftest import call, scope
from tests.downstream.memory import Answer, MemoryTarget, legacy, modern

pytestmark = pytest.mark.anyio


FORM: JsonObject = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}


@asynccontextmanager
async def _connected(target: MemoryTarget) -> AsyncGenerator[Connection]:
    server = Server("s", ServerEntry(url="http://x", timeout=5), target, target.era)
    connection = Connection(server, idle_seconds=60)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            yield connection
            connection.close()


async def _call(
    connection: Connection, *, rerunnable: bool = False, of: ToolScope | None = None
) -> ToolResult:
    tool = Tool("s__t", "", {"type": "object"}, "s", "t", idempotent=rerunnable or None)
    wanted = call("s__t", {"a": 1})
    desk = CallDesk(wanted.id, of or scope("s"), connection.server.entry)
    return await run_call(Order(wanted, tool, connection, {}, lambda _: None, lambda _: None, desk))


def _first_fails(failure: JsonObject) -> Answer:
    """A server whose first call meets a failure; the second one goes well."""
    answers = [failure, {"result": {"content": [{"type": "text", "text": "done"}]}}]
    plain = legacy({})
    return lambda request: answers.pop(0) if request["method"] == "tools/call" else plain(request)


def _error(code: int, message: str = "trouble") -> JsonObject:
    return {"error": {"code": code, "message": message}}


def _calls(target: MemoryTarget) -> int:
    return sum(wire.methods().count("tools/call") for wire in target.wires)


@pytest.mark.parametrize(
    "failure", [_error(NOT_SENT), _error(SESSION_GONE), _error(-32600, "Session not found")]
)
async def test_what_certainly_was_not_run_is_sent_again_over_a_new_connection(failure: JsonObject) -> None:
    target = MemoryTarget(_first_fails(failure))
    async with _connected(target) as connection:
        result = await _call(connection)
    assert result.text == "done"
    assert len(target.wires) == 2


@pytest.mark.parametrize("failure", [_error(LOST), _error(-32000, "SSE stream ended without a response")])
@pytest.mark.parametrize(("rerunnable", "code"), [(False, "INTERRUPTED"), (True, "SERVER_UNAVAILABLE")])
async def test_what_may_have_been_run_is_never_sent_again(
    failure: JsonObject, rerunnable: bool, code: str
) -> None:
    target = MemoryTarget(_first_fails(failure))
    async with _connected(target) as connection:
        result = await _call(connection, rerunnable=rerunnable)
    assert result.code == code
    assert _calls(target) == 1


async def test_a_servers_own_error_is_not_taken_for_a_lost_connection() -> None:
    target = MemoryTarget(_first_fails(_error(-32000, "disk full")))
    async with _connected(target) as connection:
        result = await _call(connection)
    assert (result.code, result.text) == ("TOOL_ERROR", "TOOL_ERROR: disk full")


async def test_a_server_that_stays_away_is_tried_only_once_more() -> None:
    target = MemoryTarget(legacy({"tools/call": _error(NOT_SENT, "could not connect")}))
    async with _connected(target) as connection:
        result = await _call(connection)
    assert (result.code, result.text) == (
        "SERVER_UNAVAILABLE",
        "SERVER_UNAVAILABLE: server s is down: could not connect",
    )
    assert len(target.wires) == 2


def _asking(question: JsonObject, *, until: Callable[[JsonObject], bool]) -> Answer:
    plain = modern({})

    def answer(request: JsonObject) -> JsonObject | None:
        if request["method"] != "tools/call":
            return plain(request)
        if until(request["params"]):
            return {
                "result": {
                    "resultType": "complete",
                    "content": [{"type": "text", "text": "without you then"}],
                }
            }
        asked = {"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "abc"}
        return {"result": asked}

    return answer


@pytest.mark.parametrize(
    ("question", "no"),
    [
        ({"method": "elicitation/create", "params": FORM}, {"action": "cancel"}),
        ({"method": "roots/list"}, {"roots": []}),
    ],
)
async def test_a_question_that_nobody_can_be_asked_is_dismissed_and_its_state_handed_back(
    question: JsonObject, no: JsonObject
) -> None:
    expected = {"inputResponses": {"q": no}, "requestState": "abc"}
    target = MemoryTarget(
        _asking(question, until=lambda params: expected.items() <= params.items()), era="modern"
    )
    async with _connected(target) as connection:
        result = await _call(connection)
    assert result.text == "without you then"


async def test_a_question_that_has_no_polite_no_ends_the_call() -> None:
    sampling: JsonObject = {"method": "sampling/createMessage", "params": {}}
    target = MemoryTarget(_asking(sampling, until=lambda _: False), era="modern")
    async with _connected(target) as connection:
        result = await _call(connection)
    assert result.code == "TOOL_ERROR"
    assert "sampling is off for this server" in result.text


async def test_a_server_that_asks_for_ever_is_left() -> None:
    target = MemoryTarget(_asking({"method": "roots/list"}, until=lambda _: False), era="modern")
    async with _connected(target) as connection:
        result = await _call(connection)
    assert "keeps asking" in result.text


async def test_a_call_on_a_closed_connection_is_answered() -> None:
    target = MemoryTarget(legacy({}))
    async with _connected(target) as connection:
        connection.close()
        result = await _call(connection)
    assert result.code == "SERVER_UNAVAILABLE"
