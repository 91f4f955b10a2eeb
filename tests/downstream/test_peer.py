"""JSON-RPC: answers find their requests, whatever the other side writes."""

import anyio
import anyio.lowlevel
import pytest

from agent_mcp.downstream.faults import ConnectionLostError, RpcError
from agent_mcp.downstream.peer import Peer, open_peer
from agent_mcp.downstream.wire import JsonObject
from tests.downstream.memory import MemoryWire

pytestmark = pytest.mark.anyio


_STRANGE: list[JsonObject] = [
    {"id": 99, "result": {}},
    {"id": None, "error": {}},
    {"method": "notifications/other"},
    {"method": "notifications/progress"},
    {"method": "notifications/progress", "params": []},
    {"method": "notifications/progress", "params": {"progressToken": 5, "progress": 1}},
]


_PROGRESS = "notifications/progress"
_HUGE: list[JsonObject] = [
    {"id": "9" * 5000, "result": {}},
    {"method": _PROGRESS, "params": {"progressToken": "9" * 5000, "progress": 1}},
    {"method": _PROGRESS, "params": {"progressToken": 1, "progress": 10**400}},
    {"method": _PROGRESS, "params": {"progressToken": 1, "progress": 2, "total": 10**400, "message": "two"}},
]


def _never(_: JsonObject) -> None:
    return None


async def test_an_answer_with_its_number_as_a_string_is_still_found() -> None:
    wire = MemoryWire(_never)
    with anyio.fail_after(2):
        async with open_peer(wire, lambda _: None) as peer, anyio.create_task_group() as tasks:
            tasks.start_soon(_answer_first, wire, {"id": "1", "result": {"ok": True}})
            assert await peer.request("m", {}) == {"ok": True}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"error": {"code": -1, "message": "no"}}, "no"),
        ({"error": {}}, "without a message"),
        ({"result": 5}, "neither a result nor an error"),
        ({}, "neither a result nor an error"),
    ],
)
async def test_an_error_or_a_malformed_answer_is_an_error(answer: JsonObject, message: str) -> None:
    with anyio.fail_after(2):
        async with open_peer(MemoryWire(lambda _: answer), lambda _: None) as peer:
            with pytest.raises(RpcError, match=message):
                await peer.request("m", {})


async def test_strange_messages_are_passed_over() -> None:
    wire = MemoryWire(_never)
    seen: list[str] = []
    with anyio.fail_after(2):
        async with open_peer(wire, seen.append):
            await anyio.lowlevel.checkpoint()
            for message in _STRANGE:
                wire.tell(message)
    assert seen == ["notifications/other"]


async def test_figures_that_no_float_holds_do_not_end_the_connection() -> None:
    wire = MemoryWire(_never)
    heard: list[tuple[float, float | None, str]] = []

    def hear(progress: float, total: float | None, text: str) -> None:
        heard.append((progress, total, text))

    async def tell() -> None:
        await _until_sent(wire)
        for message in _HUGE:
            wire.tell(message)
        wire.tell({"id": 1, "result": {"ok": True}})

    with anyio.fail_after(2):
        async with open_peer(wire, lambda _: None) as peer, anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            assert await peer.request("m", {"_meta": {}}, on_progress=hear) == {"ok": True}
    assert heard == [(2, None, "two")]


async def test_a_request_ends_when_the_other_side_is_gone() -> None:
    wire = MemoryWire(_never)
    with anyio.fail_after(2):
        async with open_peer(wire, lambda _: None) as peer, anyio.create_task_group() as tasks:
            tasks.start_soon(_hang_up_after_the_first, wire)
            with pytest.raises(ConnectionLostError) as lost:
                await peer.request("m", {})
            assert lost.value.sent
            with pytest.raises(ConnectionLostError) as unsent:
                await peer.request("m", {})
            assert not unsent.value.sent
            await peer.notify("n")


async def test_a_request_out_of_time_is_cancelled_at_the_other_side() -> None:
    wire = MemoryWire(_never)
    with anyio.fail_after(2):
        async with open_peer(wire, lambda _: None) as peer:
            with pytest.raises(TimeoutError):
                await peer.request("m", {}, timeout_seconds=0.01)
            with pytest.raises(TimeoutError):
                await peer.request("initialize", {}, timeout_seconds=0.01, cancellable=False)
    assert wire.methods() == ["m", "notifications/cancelled", "initialize"]


async def test_a_late_answer_harms_nothing() -> None:
    wire = MemoryWire(_never)
    with anyio.fail_after(2):
        async with open_peer(wire, lambda _: None) as peer:
            with pytest.raises(TimeoutError):
                await peer.request("m", {}, timeout_seconds=0.01)
            wire.tell({"id": 1, "result": {}})
            assert await _is_usable(peer, wire)


async def _is_usable(peer: Peer, wire: MemoryWire) -> bool:
    answer: JsonObject = {}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_answer_first, wire, {"id": 2, "result": {"late": False}})
        answer = await peer.request("m", {})
    return answer == {"late": False}


async def _answer_first(wire: MemoryWire, message: JsonObject) -> None:
    await _until_sent(wire, number=int(message["id"]))
    wire.tell(message)


async def _hang_up_after_the_first(wire: MemoryWire) -> None:
    await _until_sent(wire)
    wire.gone.set()


async def _until_sent(wire: MemoryWire, *, number: int = 1) -> None:
    while not any(message.get("id") == number for message in wire.sent):
        await anyio.lowlevel.checkpoint()
