"""Which dialect is agreed on, with servers old, new, slow and odd."""

import anyio
import pytest

from agent_mcp.downstream.faults import NOT_SENT, DownstreamError, RpcError, UnavailableError
from agent_mcp.downstream.handshake import Channel, Era, negotiate
from agent_mcp.downstream.peer import open_peer
from agent_mcp.downstream.wire import JsonObject
from tests.downstream.memory import MemoryWire, legacy, modern

pytestmark = pytest.mark.anyio


async def _agree(wire: MemoryWire, era: Era) -> Channel:
    outcome: Channel | DownstreamError = UnavailableError("nothing came of it")
    with anyio.fail_after(10):
        async with open_peer(wire, lambda _: None) as peer:
            try:
                outcome = await negotiate(peer, era)
            except DownstreamError as error:
                # Kept, since the peer's task group would wrap what leaves it.
                outcome = error
    if isinstance(outcome, DownstreamError):
        raise outcome
    return outcome


async def test_an_old_server_is_spoken_to_in_the_old_dialect() -> None:
    wire = MemoryWire(legacy({}))
    channel = await _agree(wire, "auto")
    assert (channel.era, channel.protocol_version) == ("legacy", "2025-11-25")
    assert wire.methods() == ["server/discover", "initialize", "notifications/initialized"]


async def test_a_new_server_needs_one_request() -> None:
    wire = MemoryWire(modern({}))
    channel = await _agree(wire, "auto")
    assert (channel.era, channel.protocol_version) == ("modern", "2026-07-28")
    assert wire.methods() == ["server/discover"]
    assert wire.headers[0] == {"mcp-protocol-version": "2026-07-28", "mcp-method": "server/discover"}


async def test_a_new_server_that_answers_the_probe_late_is_still_believed() -> None:
    wire: MemoryWire
    late: list[JsonObject] = []

    def answer(request: JsonObject) -> JsonObject | None:
        if request["method"] == "server/discover":
            late.append(request)
            return None
        # As a slow starter does: it reads both at once and answers them in order.
        wire.tell({"id": late[0]["id"], **(modern({})(late[0]) or {})})
        return modern({})(request)

    wire = MemoryWire(answer)
    assert (await _agree(wire, "auto")).era == "modern"


async def test_a_server_that_offers_only_old_versions_to_the_probe_gets_the_handshake() -> None:
    wire = MemoryWire(legacy({"server/discover": {"result": {"supportedVersions": ["2025-11-25"]}}}))
    assert (await _agree(wire, "auto")).era == "legacy"


async def test_a_version_that_nobody_knows_is_refused_with_its_name() -> None:
    wire = MemoryWire(legacy({"initialize": {"result": {"protocolVersion": "1999-01-01"}}}))
    with pytest.raises(UnavailableError, match="1999-01-01"):
        await _agree(wire, "auto")


async def test_a_refused_handshake_is_told_with_the_servers_words() -> None:
    wire = MemoryWire(legacy({"initialize": {"error": {"code": 1, "message": "not today"}}}))
    with pytest.raises(RpcError, match="not today"):
        await _agree(wire, "legacy")


async def test_where_nobody_listens_the_older_dialect_is_not_tried() -> None:
    wire = MemoryWire(lambda _: {"error": {"code": NOT_SENT, "message": "could not connect"}})
    with pytest.raises(RpcError, match="could not connect"):
        await _agree(wire, "auto")
    assert wire.methods() == ["server/discover"]


async def test_requests_in_the_new_dialect_carry_envelope_and_headers() -> None:
    wire = MemoryWire(modern({"tools/call": {"result": {"content": []}}}))
    with anyio.fail_after(2):
        async with open_peer(wire, lambda _: None) as peer:
            channel = await negotiate(peer, "modern")
            await channel.request(
                "tools/call", {"name": "é", "_meta": {"mine": "kept"}}, headers={"mcp-param-a": "1"}
            )
    meta = wire.sent[-1]["params"]["_meta"]
    assert meta["mine"] == "kept"
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "agent-mcp"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {}
    assert wire.headers[-1] == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "=?base64?w6k=?=",
        "mcp-param-a": "1",
    }


async def test_a_server_that_refuses_the_first_version_and_names_ours_is_asked_again() -> None:
    refusal: JsonObject = {"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"]}}
    asked: list[JsonObject] = []

    def answer(request: JsonObject) -> JsonObject | None:
        asked.append(request)
        return {"error": refusal} if len(asked) == 1 else modern({})(request)

    wire = MemoryWire(answer)
    assert (await _agree(wire, "auto")).era == "modern"
    assert wire.methods() == ["server/discover", "server/discover"]


async def test_a_server_that_refuses_the_newer_versions_gets_the_handshake() -> None:
    refusal: JsonObject = {"code": -32022, "message": "no", "data": {"supported": ["2025-11-25"]}}
    wire = MemoryWire(legacy({"server/discover": {"error": refusal}}))
    assert (await _agree(wire, "auto")).era == "legacy"
