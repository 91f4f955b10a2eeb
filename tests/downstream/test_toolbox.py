"""Calls through a toolbox, over real processes."""

import json
import os
import signal
from pathlib import Path

import anyio
import pytest

from agent_mcp.agent.events import Happening, ToolProgress
from agent_mcp.agent.messages import Media, Text, ToolResult
from tests.downstream.conftest import ask, call, hub_of, raw, scope, sdk, until, wait_dead

pytestmark = pytest.mark.anyio


async def test_arguments_reach_the_server_unchanged() -> None:
    arguments = {
        "deep": [{"é\u2028": None, "n": 1e300}],
        "long": 12345678901234567890,
        "zero": 0,
        "text": "\ud800",
    }
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            result = await ask(toolbox, "r__echo", **arguments)
    assert json.loads(result.text) == arguments


async def test_every_kind_of_content_reaches_the_model() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            result = await ask(await hub.open_toolbox(scope("r")), "r__kinds")
    assert result.content == (
        Text('{"looks": "like JSON"}'),
        Media("image/png", "aW1n"),
        Media("audio/wav", "YXVk"),
        Text("[resource file:///a.txt]\ninside"),
        Media("application/pdf", "YmluYXJ5"),
        Text("[resource link] c: file:///c\na link"),
        Text('{"type":"hologram","depth":3}'),
        Text('{"n":1}'),
    )


async def test_a_tools_own_error_stays_an_error_and_an_empty_answer_a_success() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            failed, empty = await ask(toolbox, "r__fail"), await ask(toolbox, "r__empty")
    assert (failed.is_error, failed.code, failed.text) == (True, "TOOL_ERROR", "it failed")
    assert (empty.is_error, empty.content) == (False, ())


async def test_structured_content_against_its_own_schema_is_not_lost() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            result = await ask(toolbox, "r__wrong-structure")
    assert result.text == 'fine\n{"n":"not a number"}'


async def test_a_protocol_error_is_told_to_the_model() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            result = await ask(await hub.open_toolbox(scope("r")), "r__protocol-error")
    assert (result.code, result.text) == ("TOOL_ERROR", 'TOOL_ERROR: no such thing; {"a": 1}')


async def test_an_unknown_tool_is_answered_with_the_nearest_names() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            result = await ask(await hub.open_toolbox(scope("r")), "r__ecko")
    assert result.code == "TOOL_NOT_FOUND"
    assert "r__echo" in result.text


async def test_each_call_carries_its_idempotency_key() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r", session_id="abc", turn=3))
            result = await toolbox.call(call("r__request", call_id="call_9"))
    meta = json.loads(result.text)["_meta"]
    assert meta["io.github.agent-mcp/idempotencyKey"] == "abc/3/call_9"
    assert meta["io.github.agent-mcp/sessionId"] == "abc"


async def test_a_slow_call_times_out_says_what_may_have_happened_and_is_cancelled_at_the_server() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw(timeout=0.3)) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            late = await ask(toolbox, "r__slow", seconds=20)
            cancelled = await ask(toolbox, "r__cancelled")
    assert late.code == "TOOL_TIMEOUT"
    assert "within 0.3 s" in late.text
    assert "may have happened" in late.text
    assert 250 <= late.duration_ms < 3000
    assert len(json.loads(cancelled.text)) == 1


async def test_a_cancelled_turn_cancels_its_calls_at_the_server() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            seen = anyio.Event()
            toolbox = await hub.open_toolbox(scope("r", emit=lambda _: seen.set()))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(toolbox.call, call("r__slow", {"seconds": 20}))
                await seen.wait()
                tasks.cancel_scope.cancel()
            cancelled = await ask(toolbox, "r__cancelled")
    assert len(json.loads(cancelled.text)) == 1


async def test_progress_of_a_call_is_emitted() -> None:
    happenings: list[Happening] = []
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r", emit=happenings.append))
            await toolbox.call(call("r__slow", {"seconds": 0.1}, call_id="call_7"))
    assert happenings[0] == ToolProgress("call_7", 0.5, 1.0, "half way")


async def test_a_listener_that_fails_does_not_cost_the_connection() -> None:
    def fail(_: Happening) -> None:
        raise ZeroDivisionError

    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r", emit=fail))
            result = await ask(toolbox, "r__slow", seconds=0.1)
    assert result.text == "slept"


async def test_calls_run_side_by_side() -> None:
    results: list[ToolResult] = []

    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))

            async def one(number: int) -> None:
                results.append(
                    await toolbox.call(call("r__slow", {"seconds": 0.3}, call_id=f"call_{number}"))
                )

            started = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                for number in range(10):
                    tasks.start_soon(one, number)
            assert anyio.current_time() - started < 2
    assert len(results) == 10


async def test_a_crash_during_a_call_says_why_and_that_it_may_have_happened() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            result = await ask(toolbox, "r__crash")
    assert result.code == "INTERRUPTED"
    assert "it exited with code 7; stderr: about to crash" in result.text
    assert "may have happened" in result.text


async def test_after_a_crash_the_next_call_starts_the_server_anew_and_the_restart_is_told_once() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            before = await ask(toolbox, "r__pid")
            assert toolbox.restarted() == []
            await ask(toolbox, "r__crash")
            after = await ask(toolbox, "r__pid")
            assert not after.is_error
            assert after.text != before.text
            assert toolbox.restarted() == ["r"]
            assert toolbox.restarted() == []


async def test_a_session_that_never_used_the_server_hears_of_no_restart() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            mine = await hub.open_toolbox(scope("r", session_id="mine"))
            other = await hub.open_toolbox(scope("r", session_id="other"))
            await ask(mine, "r__crash")
            await ask(mine, "r__pid")
            assert other.restarted() == []


async def test_an_interrupted_call_of_an_idempotent_tool_is_only_unavailable() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            pid = int((await ask(toolbox, "r__pid")).text)
            results: list[ToolResult] = []

            async def slow() -> None:
                results.append(await ask(toolbox, "r__slow", seconds=20))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(slow)
                await anyio.sleep(0.1)
                os.kill(pid, signal.SIGKILL)
    assert results[0].code == "SERVER_UNAVAILABLE"
    assert "killed by SIGKILL" in results[0].text


async def test_a_grandchild_is_gone_after_its_server_crashed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            result = await ask(toolbox, "r__orphan", pid_file=str(pid_file))
            assert result.code == "INTERRUPTED"
            assert await wait_dead(int(pid_file.read_text()))


async def test_a_server_killed_while_idle_is_back_on_the_next_call() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            pid = int((await ask(toolbox, "r__pid")).text)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not hub.status(["r"])[0].connected)
            assert "SIGKILL" in (hub.status(["r"])[0].error or "")
            result = await ask(toolbox, "r__pid")
    assert not result.is_error


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("roots/list", {"result": {"roots": []}}),
        ("elicitation/create", {"error": {"code": -32602}}),
        ("ping", {"result": {}}),
        ("sampling/createMessage", {"error": {"code": -32601}}),
    ],
)
async def test_a_servers_own_requests_are_answered_at_once(
    method: str, answer: dict[str, dict[str, object]]
) -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            result = await ask(await hub.open_toolbox(scope("r")), "r__ask_back", method=method)
    [(key, value)] = answer.items()
    assert json.loads(result.text)[key].items() >= value.items()


async def test_a_modern_server_that_needs_to_ask_is_answered_at_once() -> None:
    with anyio.fail_after(20):
        async with hub_of(m=sdk()) as hub:
            toolbox = await hub.open_toolbox(scope("m"))
            result = await ask(toolbox, "m__order")
    assert (result.code, result.text) == (None, "declined")


async def test_a_tool_of_a_server_that_is_down_is_answered_with_the_reason() -> None:
    with anyio.fail_after(10):
        async with hub_of(d=raw("--exit", "no key")) as hub:
            result = await ask(await hub.open_toolbox(scope("d")), "d__echo")
    assert (result.code, result.text) == (
        "SERVER_UNAVAILABLE",
        "SERVER_UNAVAILABLE: server d is down: it exited with code 3; stderr: no key",
    )
