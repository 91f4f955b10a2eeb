"""Turns as tasks of the extension `io.modelcontextprotocol/tasks`, over stdio and HTTP, from real processes."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import EmptyResult, Request

from tests.support.host import Json, open_host, until
from tests.support.http import open_http
from tests.support.journey import Scene, call, calls, open_scene, release, says, work_done
from tests.support.modern import Transport, Wire, open_http_wire, open_wire

pytestmark = pytest.mark.anyio

EXTENSION = "io.modelcontextprotocol/tasks"
TASKS: Json = {"extensions": {EXTENSION: {}}}
ASKABLE: Json = {**TASKS, "elicitation": {}}
TRANSPORTS: list[Transport] = ["stdio", "http"]
UNKNOWN, MISSING_CAPABILITY, HEADER_MISMATCH, NO_METHOD = -32602, -32021, -32020, -32601

RULES = {
    "look": [calls(call("look", item="a", hold=True)), says("Seen.")],
    "book": [calls(call("book", item="b"), call("book", item="c")), says("Booked.")],
    "quick": [says("At once.")],
}
ASKING = {"defaults": {"approvals": {"ask": ["desk__book"]}}}


@asynccontextmanager
async def host(
    folder: Path, transport: Transport, capabilities: Json = TASKS
) -> AsyncGenerator[tuple[Scene, Wire]]:
    with anyio.fail_after(40):
        async with (
            open_scene(folder, RULES, config=ASKING) as scene,
            open_wire(scene.home, transport, capabilities) as wire,
        ):
            yield scene, wire


async def tool(wire: Wire, name: str, /, **arguments: Any) -> Json:
    return (await wire.request("tools/call", name=name, arguments=arguments))["result"]


async def start(wire: Wire, message: str, **arguments: Any) -> Json:
    return await tool(wire, "start_session", session_id="s1", message=message, **arguments)


async def get(wire: Wire, task_id: str) -> Json:
    return (await wire.request("tasks/get", taskId=task_id))["result"]


async def code(wire: Wire, method: str, task_id: str, **params: Any) -> int:
    return (await wire.request(method, taskId=task_id, **params))["error"]["code"]


async def reached(wire: Wire, task_id: str, *statuses: str) -> Json:
    """The task, once its status is one of these."""
    while (task := await get(wire, task_id))["status"] not in statuses:
        await anyio.sleep(0.02)
    return task


async def outcome(wire: Wire, result: Json) -> Json:
    """What a call comes to, whether its turn was over soon or became a task."""
    if result["resultType"] == "task":
        result = (await reached(wire, result["taskId"], "completed"))["result"]
    return result["structuredContent"]


def answers(task: Json, decide: Callable[[str], Json]) -> Json:
    """What a person says to each question of a task, by what it shows."""
    return {key: decide(asked["params"]["message"]) for key, asked in task["inputRequests"].items()}


ALLOW: Json = {"action": "accept", "content": {"call_1": "allow"}}
DECLINE: Json = {"action": "decline"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_turn_that_is_not_over_soon_is_a_task_until_it_is(
    tmp_path: Path, transport: Transport
) -> None:
    async with host(tmp_path, transport) as (scene, wire):
        made = await start(wire, "look", wait_seconds=30)
        await until(lambda: "look a" in work_done(scene.home))
        working = await get(wire, made["taskId"])
        release(scene.home, "a")
        over = await reached(wire, made["taskId"], "completed")
    assert (made["resultType"], made["taskId"], made["status"]) == ("task", "s1.1", "working")
    assert made["ttlMs"] is None and made["pollIntervalMs"] > 0
    assert not {"result", "inputRequests", "content", "requestState"} & made.keys()
    assert (working["resultType"], working["status"]) == ("complete", "working")
    assert "result" not in working and "desk__look" in working["statusMessage"]
    assert made["createdAt"] == over["createdAt"] < over["lastUpdatedAt"]
    assert (over["resultType"], over["taskId"]) == ("complete", "s1.1")
    assert over["result"]["content"][0]["text"].startswith("Seen.")
    assert over["result"]["structuredContent"]["stop_reason"] == "end_turn"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_short_turn_is_answered_at_once_and_needs_no_task(
    tmp_path: Path, transport: Transport
) -> None:
    async with host(tmp_path, transport) as (_, wire):
        result = await start(wire, "quick")
        # The first turn starts a server too, which may take longer than soon; so may any on a busy machine.
        while result["resultType"] == "task":
            await reached(wire, result["taskId"], "completed")
            result = await tool(wire, "send_message", session_id="s1", message="quick")
        refused = await tool(wire, "send_message", session_id="nobody", message="x")
        listed = await tool(wire, "list_sessions")
    assert result["structuredContent"]["text"] == "At once."
    assert (refused["resultType"], refused["isError"]) == ("complete", True)
    assert listed["resultType"] == "complete"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_task_is_there_after_a_kill_and_comes_to_its_end(
    tmp_path: Path, transport: Transport
) -> None:
    with anyio.fail_after(40):
        async with open_scene(tmp_path, RULES) as scene:
            async with open_wire(scene.home, transport, TASKS) as wire:
                made = await start(wire, "look")
                await until(lambda: "look a" in work_done(scene.home))
                await wire.process.kill()
            async with open_wire(scene.home, transport, TASKS) as wire:
                found = await get(wire, made["taskId"])
                release(scene.home, "a")
                over = await reached(wire, made["taskId"], "completed")
    assert (found["status"], found["createdAt"]) == ("working", made["createdAt"])
    assert over["result"]["structuredContent"]["text"] == "Seen."


async def test_any_process_on_the_same_store_knows_the_task(tmp_path: Path) -> None:
    async with host(tmp_path, "stdio") as (scene, wire), open_http(scene.home) as server:
        made = await start(wire, "look")
        async with open_http_wire(server, TASKS) as other:
            working = await get(other, made["taskId"])
            await other.request("tasks/cancel", taskId=made["taskId"])
            await reached(wire, made["taskId"], "cancelled")
    assert working["status"] == "working"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cancelled_task_is_cancelled_once_and_for_all(tmp_path: Path, transport: Transport) -> None:
    async with host(tmp_path, transport) as (scene, wire):
        task_id = (await start(wire, "look"))["taskId"]
        await until(lambda: "look a" in work_done(scene.home))
        cancelled = await wire.request("tasks/cancel", taskId=task_id)
        task = await get(wire, task_id)
        repeated = await wire.request("tasks/cancel", taskId=task_id)
        said_again = await tool(wire, "send_message", session_id="s1", message="look")
    assert (task["status"], "result" in task) == ("cancelled", False)
    for answer in (cancelled, repeated):
        assert answer["result"].keys() - {"_meta"} == {"resultType"}
        assert answer["result"]["resultType"] == "complete"
    assert said_again["taskId"] == "s1.2", "who cancelled it knows its end"


async def test_cancelling_a_task_that_is_over_stops_no_later_turn(tmp_path: Path) -> None:
    async with host(tmp_path, "stdio") as (scene, wire):
        first = (await start(wire, "look"))["taskId"]
        release(scene.home, "a")
        await reached(wire, first, "completed")
        (scene.home.folder / "a.go").unlink()
        second = (await tool(wire, "send_message", session_id="s1", message="look"))["taskId"]
        await wire.request("tasks/cancel", taskId=first)
        going_on = await get(wire, second)
    assert (second, going_on["status"]) == ("s1.2", "working")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_approvals_are_asked_for_and_answered_one_by_one(tmp_path: Path, transport: Transport) -> None:
    async with host(tmp_path, transport, ASKABLE) as (scene, wire):
        task_id = (await start(wire, "book"))["taskId"]
        asking = await reached(wire, task_id, "input_required")
        said = answers(asking, lambda shown: ALLOW if '"b"' in shown else DECLINE)
        (yes,) = [key for key, answer in said.items() if answer is ALLOW]
        (no,) = said.keys() - {yes}
        unheard = await wire.request("tasks/update", taskId=task_id, inputResponses={"x": {"odd": 1}})
        await wire.request("tasks/update", taskId=task_id, inputResponses={yes: said[yes]})
        left = await get(wire, task_id)
        undecided = {no: {"action": "cancel"}}
        await wire.request("tasks/update", taskId=task_id, inputResponses=undecided)
        still = await get(wire, task_id)
        await wire.request("tasks/update", taskId=task_id, inputResponses={yes: DECLINE, no: said[no]})
        over = await reached(wire, task_id, "completed")
    assert all(asked["method"] == "elicitation/create" for asked in asking["inputRequests"].values())
    assert unheard["result"].keys() - {"_meta"} == {"resultType"}
    assert (left["status"], list(left["inputRequests"])) == ("input_required", [no])
    assert (still["status"], list(still["inputRequests"])) == ("input_required", [no])
    content = over["result"]["structuredContent"]
    assert [one["status"] for one in content["steps"][0]["tool_calls"]] == ["ok", "denied"]
    assert work_done(scene.home) == ["book b"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_is_no_answer_is_refused_and_decides_nothing(tmp_path: Path, transport: Transport) -> None:
    async with host(tmp_path, transport, ASKABLE) as (_, wire):
        task_id = (await start(wire, "book"))["taskId"]
        asking = await reached(wire, task_id, "input_required")
        wrong = answers(asking, lambda _: {"action": "perhaps"})
        refused = await code(wire, "tasks/update", task_id, inputResponses=wrong)
        after = await get(wire, task_id)
        await wire.request("tasks/cancel", taskId=task_id)
    assert refused == UNKNOWN
    assert after["inputRequests"] == asking["inputRequests"]


async def test_where_approvals_are_answered_outside_a_task_asks_for_none_and_takes_none(
    tmp_path: Path,
) -> None:
    outside = {**ASKING, "server": {"approvals": "outside"}}
    with anyio.fail_after(40):
        async with open_scene(tmp_path, RULES, config=ASKING) as scene:
            async with open_wire(scene.home, "stdio", ASKABLE) as wire:
                task_id = (await start(wire, "book"))["taskId"]
                said = answers(await reached(wire, task_id, "input_required"), lambda _: ALLOW)
            scene.home.config = {**(scene.home.config or {}), **outside}
            scene.home.write()
            async with open_wire(scene.home, "stdio", ASKABLE) as wire:
                await wire.request("tasks/update", taskId=task_id, inputResponses=said)
                over = await reached(wire, task_id, "completed")
    content = over["result"]["structuredContent"]
    assert (content["status"], len(content["approvals"])) == ("needs_approval", 2)
    assert work_done(scene.home) == []


async def test_a_question_waits_through_a_kill_under_the_same_key(tmp_path: Path) -> None:
    with anyio.fail_after(40):
        async with open_scene(tmp_path, RULES, config=ASKING) as scene:
            async with open_wire(scene.home, "stdio", ASKABLE) as wire:
                task_id = (await start(wire, "book"))["taskId"]
                before = await reached(wire, task_id, "input_required")
                await wire.process.kill()
            async with open_wire(scene.home, "stdio", ASKABLE) as wire:
                said = answers(before, lambda _: ALLOW)
                await wire.request("tasks/update", taskId=task_id, inputResponses=said)
                over = await reached(wire, task_id, "completed")
    assert over["result"]["structuredContent"]["text"] == "Booked."
    assert sorted(work_done(scene.home)) == ["book b", "book c"]


async def test_a_host_that_cannot_be_asked_reads_what_waits_and_its_approve_is_another_task(
    tmp_path: Path,
) -> None:
    async with host(tmp_path, "stdio") as (_, wire):
        waiting = await outcome(wire, await start(wire, "book"))
        asked = [one["call_id"] for one in waiting["approvals"]]
        await tool(wire, "approve", session_id="s1", call_id=asked[0], decision="allow")
        last = await tool(wire, "approve", session_id="s1", call_id=asked[1], decision="allow")
        assert last.get("taskId") in (None, "s1.1.2")
        ended = await outcome(wire, last)
        first = await get(wire, "s1.1")
    assert (waiting["status"], ended["text"]) == ("needs_approval", "Booked.")
    assert first["status"] == "completed"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_result_that_was_fetched_has_been_delivered(tmp_path: Path, transport: Transport) -> None:
    async with host(tmp_path, transport) as (scene, wire):
        task_id = (await start(wire, "look"))["taskId"]
        resent = await tool(wire, "send_message", session_id="s1", message="look")
        release(scene.home, "a")
        await reached(wire, task_id, "completed")
        anew = await outcome(wire, await tool(wire, "send_message", session_id="s1", message="look"))
    assert resent["taskId"] == task_id, "not delivered yet: the same turn"
    assert anew["turn"] == 2
    assert scene.home.kinds().count("delivered") == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_id_that_names_no_task_is_unknown(tmp_path: Path, transport: Transport) -> None:
    async with host(tmp_path, transport) as (_, wire):
        await start(wire, "look")
        for task_id in ("s1", "s1.0", "s1.2", "s1.1.1", "s2.1", "s1.1/../x", "x" * 300):
            for method in ("tasks/get", "tasks/cancel"):
                assert await code(wire, method, task_id) == UNKNOWN, task_id
            assert await code(wire, "tasks/update", task_id, inputResponses={}) == UNKNOWN, task_id


async def test_a_foreign_task_is_as_unknown_as_one_that_never_was(tmp_path: Path) -> None:
    ada, bob = "a" * 40, "b" * 40
    tokens = [{"name": "ada", "token": ada}, {"name": "bob", "token": bob}]
    with anyio.fail_after(40):
        async with (
            open_scene(tmp_path, RULES, config={"server": {"tokens": tokens}}) as scene,
            open_http(scene.home) as server,
            open_http_wire(server, TASKS, token=ada) as hers,
            open_http_wire(server, TASKS, token=bob) as his,
        ):
            task_id = (await start(hers, "look"))["taskId"]
            said: list[str] = []
            for asked in (task_id, "s9.1"):
                for method in ("tasks/get", "tasks/cancel", "tasks/update"):
                    error = (await his.request(method, taskId=asked, inputResponses={}))["error"]
                    said.append(json.dumps(error).replace(asked, "ID"))
            async with his.listen(taskIds=[task_id]) as heard:
                acknowledged = await heard()
            mine = await get(hers, task_id)
    assert len(set(said)) == 1 and json.loads(said[0])["code"] == UNKNOWN
    assert acknowledged["params"]["notifications"] == {}
    assert mine["status"] == "working"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_without_the_extension_notices_nothing(tmp_path: Path, transport: Transport) -> None:
    async with host(tmp_path, transport, {}) as (_, wire):
        discovered = (await wire.request("server/discover"))["result"]["capabilities"]
        running = await start(wire, "look", wait_seconds=0.1)
        refusals = [
            (await wire.request(method, taskId="s1.1", inputResponses={}))["error"]
            for method in ("tasks/get", "tasks/update", "tasks/cancel")
        ]
        opted_in = await wire.request("tasks/get", taskId="s1.1", capabilities=TASKS)
    assert discovered["extensions"] == {EXTENSION: {}}
    assert (running["resultType"], running["structuredContent"]["status"]) == ("complete", "running")
    for error in refusals:
        assert error["code"] == MISSING_CAPABILITY
        assert error["data"]["requiredCapabilities"] == TASKS
    assert opted_in["result"]["status"] == "working"


async def test_the_older_era_has_no_tasks(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home, "legacy") as old:
            capabilities = old.client.session.server_capabilities
            running = await old.call("start_session", session_id="s1", message="look", wait_seconds=0.1)
            get_task = Request[dict[str, Any], str](method="tasks/get", params={"taskId": "s1.1"})
            with pytest.raises(MCPError) as refused:
                await old.client.session.send_request(get_task, EmptyResult)
    assert capabilities is not None and capabilities.extensions is None
    assert running["status"] == "running"
    assert refused.value.error.code == NO_METHOD


async def test_over_http_the_header_must_name_the_task(tmp_path: Path) -> None:
    async with host(tmp_path, "http") as (scene, wire), open_http(scene.home) as server:
        task_id = (await start(wire, "look"))["taskId"]
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tasks/get",
            "params": {
                "taskId": task_id,
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": TASKS,
                },
            },
        }
        async with server.raw() as client:
            for named in ({}, {"Mcp-Name": "s1.2"}):
                headers = {
                    "Accept": "application/json, text/event-stream",
                    "MCP-Protocol-Version": "2026-07-28",
                    "Mcp-Method": "tasks/get",
                    **named,
                }
                response = await client.post("/mcp", json=body, headers=headers)
                assert (response.status_code, response.json()["error"]["code"]) == (400, HEADER_MISMATCH)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_listener_is_told_each_status_and_the_result(tmp_path: Path, transport: Transport) -> None:
    async with host(tmp_path, transport, ASKABLE) as (scene, wire), open_http(scene.home) as server:
        task_id = (await start(wire, "look"))["taskId"]
        async with wire.listen(taskIds=[task_id, "s9.1"]) as heard:
            acknowledged = await heard()
            first = await heard()
            release(scene.home, "a")
            last = await heard()
            async with open_http_wire(server, ASKABLE) as other:
                fetched = await get(other, task_id)
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"]["notifications"] == {"taskIds": [task_id]}
    assert (first["method"], first["params"]["status"]) == ("notifications/tasks", "working")
    assert (last["method"], last["params"]["status"]) == ("notifications/tasks", "completed")
    told = {key: value for key, value in last["params"].items() if key != "_meta"}
    assert told == {key: value for key, value in fetched.items() if key not in ("_meta", "resultType")}
    assert set(last["params"]["_meta"]) == {"io.modelcontextprotocol/subscriptionId"}


async def test_who_was_told_the_result_has_been_given_it(tmp_path: Path) -> None:
    async with host(tmp_path, "http") as (scene, wire):
        task_id = (await start(wire, "look"))["taskId"]
        async with wire.listen(taskIds=[task_id]) as heard:
            for _ in range(2):
                await heard()
            release(scene.home, "a")
            assert (await heard())["params"]["status"] == "completed"
            await until(lambda: "delivered" in scene.home.kinds())


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_hearing_of_tasks_needs_the_extension(tmp_path: Path, transport: Transport) -> None:
    async with host(tmp_path, transport) as (_, wire):
        wanted = {"notifications": {"taskIds": ["s1.1"]}}
        refused = await wire.request("subscriptions/listen", capabilities={}, **wanted)
        odd = await wire.request("subscriptions/listen", notifications={"taskIds": "s1.1"})
    assert refused["error"]["code"] == MISSING_CAPABILITY
    assert odd["error"]["code"] == UNKNOWN
