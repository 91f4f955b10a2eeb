"""Servers that come, go, hang and lie: what a turn sees of them."""

import os
import sys
from pathlib import Path

import anyio
import pytest

from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.hub import open_hub
from tests.downstream.conftest import ask, hub_of, raw, scope, sdk, until, wait_dead

pytestmark = pytest.mark.anyio


def _starts(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


async def test_nothing_is_started_before_it_is_needed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with hub_of(r=raw("--start-log", str(log))) as hub:
        assert hub.status(["r"])[0].connected is False
    assert _starts(log) == 0


async def test_servers_start_side_by_side() -> None:
    with anyio.fail_after(20):
        servers = {f"r{n}": raw("--start-delay", "0.7") for n in range(4)}
        async with open_hub(servers, {}, os.environ) as hub:
            started = anyio.current_time()
            await hub.open_toolbox(scope("r0", "r1", "r2", "r3"))
            assert anyio.current_time() - started < 2.5


async def test_a_dead_a_hanging_and_a_missing_server_cost_only_their_own_tools() -> None:
    servers = {
        "good": raw(),
        "dead": raw("--exit", "no api key"),
        "hangs": raw("--hang", connect_timeout=1),
        "gone": ServerEntry(command="surely-not-installed"),
        "nowhere": ServerEntry(command=sys.executable, cwd="/does/not/exist"),
    }
    with anyio.fail_after(20):
        async with open_hub(servers, {"unset": "the variable TOKEN is not set"}, os.environ) as hub:
            started = anyio.current_time()
            toolbox = await hub.open_toolbox(scope(*servers, "unset", "unknown"))
            assert anyio.current_time() - started < 4.5
            assert not (await ask(toolbox, "good__echo")).is_error
    warnings = dict(warning.removeprefix("server ").split(" is down: ", 1) for warning in toolbox.warnings)
    assert warnings["dead"] == "it exited with code 3; stderr: no api key"
    assert warnings["hangs"] == "it did not start within 1 s"
    assert "looked in: " in warnings["gone"]
    assert "/does/not/exist" in warnings["nowhere"]
    assert warnings["unset"] == "the variable TOKEN is not set"
    assert "not in the configuration" in warnings["unknown"]
    assert {tool.server for tool in toolbox.tools} == {"good"}


async def test_only_the_first_turn_waits_for_a_server_that_hangs() -> None:
    with anyio.fail_after(10):
        async with hub_of(hangs=raw("--hang", connect_timeout=0.5)) as hub:
            await hub.open_toolbox(scope("hangs"))
            started = anyio.current_time()
            toolbox = await hub.open_toolbox(scope("hangs", turn=2))
            assert anyio.current_time() - started < 0.2
    assert "did not start" in toolbox.warnings[0]


async def test_a_later_turn_tries_a_broken_server_again(tmp_path: Path) -> None:
    cwd = tmp_path / "later"
    entry = ServerEntry(command=sys.executable, args=("-m", "mcp_server_time"), cwd=str(cwd))
    with anyio.fail_after(20):
        async with hub_of(time=entry) as hub:
            assert (await hub.open_toolbox(scope("time"))).tools == ()
            cwd.mkdir()
            toolbox = await hub.open_toolbox(scope("time", turn=2))
            assert not (await ask(toolbox, "time__get_current_time", timezone="UTC")).is_error


async def test_a_slow_start_within_the_time_is_waited_for() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw("--start-delay", "1", connect_timeout=5)) as hub:
            assert (await hub.open_toolbox(scope("r"))).tools


async def test_a_server_that_ignores_unknown_methods_connects_soon_and_sooner_the_second_time() -> None:
    with anyio.fail_after(20):
        async with hub_of(r=raw("--ignore-unknown", connect_timeout=5)) as hub:
            started = anyio.current_time()
            toolbox = await hub.open_toolbox(scope("r"))
            assert toolbox.tools
            assert anyio.current_time() - started < 4
            await ask(toolbox, "r__crash")
            started = anyio.current_time()
            assert not (await ask(toolbox, "r__echo")).is_error
            assert anyio.current_time() - started < 1.5


async def test_a_server_that_leaves_on_an_unknown_method_is_asked_in_the_older_dialect() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw("--leave-on-discover")) as hub:
            assert (await hub.open_toolbox(scope("r"))).tools


async def test_other_output_on_stdout_disturbs_nothing() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw("--garbage")) as hub:
            result = await ask(await hub.open_toolbox(scope("r")), "r__echo", a=1)
    assert result.text == '{"a": 1}'


async def test_bad_schemas_cost_only_their_own_tools_and_are_named() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw("--bad-schemas")) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
    names = {tool.tool_name for tool in toolbox.tools}
    assert "echo" in names
    assert not names & {"empty-schema", "no-schema", "text-schema", "bad-property"}
    assert len(toolbox.warnings) == 6
    assert "server r: tool 'no-schema' is left out: inputSchema is missing" in toolbox.warnings


async def test_all_pages_of_a_tool_list_are_read() -> None:
    with anyio.fail_after(10):
        async with hub_of(one=raw(), paged=raw("--pages")) as hub:
            toolbox = await hub.open_toolbox(scope("one", "paged"))
    counts = {server: sum(tool.server == server for tool in toolbox.tools) for server in ("one", "paged")}
    assert counts["one"] == counts["paged"] > 5


async def test_a_tool_list_without_end_is_cut_with_a_warning() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw("--endless-pages")) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
    assert toolbox.tools
    assert "does not end" in toolbox.warnings[0]


async def test_patterns_of_the_scope_and_of_the_entry_narrow_the_tools() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw(tools=("e*", "pid"))) as hub:
            all_tools = await hub.open_toolbox(scope("r"))
            some = await hub.open_toolbox(scope("r", tools=[["r__*"], ["*mpty", "*cho", "*slow"]]))
    assert [tool.tool_name for tool in all_tools.tools] == ["echo", "empty", "pid", "env"]
    assert [tool.tool_name for tool in some.tools] == ["echo", "empty"]


async def test_hints_of_a_tool_are_kept_and_missing_ones_are_unknown() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            tools = {tool.tool_name: tool for tool in (await hub.open_toolbox(scope("r"))).tools}
    assert (tools["echo"].read_only, tools["echo"].destructive) == (True, None)
    assert tools["crash"].destructive is True
    assert tools["slow"].rerunnable


async def test_the_tools_are_the_same_object_for_as_long_as_nothing_changes() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            first = await hub.open_toolbox(scope("r"))
            second = await hub.open_toolbox(scope("r", session_id="s2", turn=5))
            assert first.tools is second.tools
            await ask(first, "r__crash")
            third = await hub.open_toolbox(scope("r", turn=2))
            assert third.tools is first.tools


@pytest.mark.parametrize("entry", [raw(), sdk()], ids=["legacy", "modern"])
async def test_a_changed_tool_list_is_used_from_the_next_turn_on(entry: ServerEntry) -> None:
    with anyio.fail_after(20):
        async with hub_of(r=entry) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            await ask(toolbox, "r__change_tools")
            assert "r__added" not in {tool.name for tool in toolbox.tools}
            while "r__added" not in {tool.name for tool in toolbox.tools}:
                toolbox = await hub.open_toolbox(scope("r", turn=2))
                await anyio.sleep(0.01)
            assert (await ask(toolbox, "r__added")).text.startswith("new")


async def test_a_session_scoped_server_runs_once_a_session_and_ends_with_it() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw(scope="session")) as hub:
            one = await hub.open_toolbox(scope("r", session_id="one"))
            two = await hub.open_toolbox(scope("r", session_id="two"))
            pid_one, pid_two = [int((await ask(box, "r__pid")).text) for box in (one, two)]
            assert pid_one != pid_two
            await hub.release("one")
            assert await wait_dead(pid_one)
            assert not (await ask(two, "r__pid")).is_error
            assert (await ask(one, "r__pid")).code == "SERVER_UNAVAILABLE"


async def test_a_shared_server_outlives_a_session() -> None:
    with anyio.fail_after(10):
        async with hub_of(r=raw()) as hub:
            one = await hub.open_toolbox(scope("r", session_id="one"))
            pid = (await ask(one, "r__pid")).text
            await hub.release("one")
            two = await hub.open_toolbox(scope("r", session_id="two"))
            assert (await ask(two, "r__pid")).text == pid


async def test_an_idle_connection_is_closed_and_comes_back_at_need() -> None:
    with anyio.fail_after(10):
        async with hub_of(idle_seconds=0.2, r=raw()) as hub:
            toolbox = await hub.open_toolbox(scope("r"))
            await ask(toolbox, "r__pid")
            await until(lambda: not hub.status(["r"])[0].connected)
            status = hub.status(["r"])[0]
            assert (status.connected, status.error) == (False, None)
            assert status.tools > 5
            assert not (await ask(toolbox, "r__pid")).is_error
            assert toolbox.restarted() == ["r"]


async def test_a_child_sees_no_key_that_it_was_not_given() -> None:
    ours = {**os.environ, "ANTHROPIC_API_KEY": "secret", "MINE": "1", "HTTPS_PROXY": "http://p"}
    entry = raw(inherit_env=("MINE",), env={"OWN": "2"})
    with anyio.fail_after(10):
        async with open_hub({"r": entry}, {}, ours) as hub:
            text = (await ask(await hub.open_toolbox(scope("r")), "r__env")).text
    assert "secret" not in text
    assert '"MINE": "1"' in text
    assert '"OWN": "2"' in text
    assert '"HTTPS_PROXY": "http://p"' in text


async def test_a_real_server_works_and_its_era_is_found() -> None:
    entry = ServerEntry(command=sys.executable, args=("-m", "mcp_server_time"))
    with anyio.fail_after(20):
        async with hub_of(time=entry) as hub:
            toolbox = await hub.open_toolbox(scope("time"))
            result = await ask(
                toolbox,
                "time__convert_time",
                source_timezone="UTC",
                time="12:00",
                target_timezone="Asia/Tokyo",
            )
            status = hub.status(["time"])[0]
    assert "21:00" in result.text
    assert (status.connected, status.tools, status.error) == (True, 2, None)


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_an_era_can_be_fixed(era: str) -> None:
    with anyio.fail_after(20):
        async with hub_of(m=sdk(era=era)) as hub:
            result = await ask(await hub.open_toolbox(scope("m")), "m__echo", value="x")
    assert result.content[0].kind == "text"
    assert result.text.startswith("x")


async def test_closing_takes_less_than_two_seconds_whatever_the_servers_do(tmp_path: Path) -> None:
    pids = [tmp_path / f"pid{n}" for n in range(3)]
    servers = {
        "stubborn": raw("--stubborn", "--pid-file", str(pids[0])),
        "lingers": raw("--linger", "--pid-file", str(pids[1])),
        "hangs": raw("--hang", "--stubborn", "--pid-file", str(pids[2]), connect_timeout=30),
    }
    started = 0.0
    with anyio.fail_after(20):
        async with open_hub(servers, {}, os.environ) as hub, anyio.create_task_group() as tasks:
            toolbox = await hub.open_toolbox(scope("stubborn", "lingers"))
            tasks.start_soon(hub.open_toolbox, scope("hangs"))
            await until(pids[2].exists)
            tasks.start_soon(ask, toolbox, "stubborn__echo")
            tasks.cancel_scope.cancel()
            started = anyio.current_time()
    assert anyio.current_time() - started < 1.8
    assert [await wait_dead(int(pid.read_text())) for pid in pids] == [True, True, True]


async def test_cancelling_the_program_leaves_no_child(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with anyio.fail_after(10), anyio.CancelScope() as program:
        async with hub_of(r=raw("--stubborn", "--pid-file", str(pid_file))) as hub:
            await hub.open_toolbox(scope("r"))
            program.cancel()
            await anyio.sleep_forever()
    assert await wait_dead(int(pid_file.read_text()))


async def test_inspecting_a_server_tells_its_tools_or_why_not() -> None:
    with anyio.fail_after(20):
        async with hub_of(good=raw("--bad-schemas"), dead=raw("--exit", "no key")) as hub:
            good, dead, unknown = [await hub.inspect(name) for name in ("good", "dead", "unknown")]
    assert good.error is None
    assert {"good__echo"} <= {tool.name for tool in good.tools}
    assert all(tool.json_bytes > 20 for tool in good.tools)
    assert len(good.warnings) == 6
    assert 0 < good.seconds < 10
    assert dead.error == "it exited with code 3; stderr: no key"
    assert "not in the configuration" in (unknown.error or "")
