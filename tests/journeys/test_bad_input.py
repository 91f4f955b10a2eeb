"""Bad input gives a clear error and loses nothing: each through the front door, each followed by work that goes on."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_mcp.sessions.upkeep import RawEvent, SessionArchive
from agent_mcp.store.open import open_store
from tests.support.host import Home, Host, environment, open_host
from tests.support.journey import WIRES, WireName, call, calls, open_scene, raw, says, work_done
from tests.support.model_script import Answer, Call, Fault

pytestmark = pytest.mark.anyio

RULES = {"hello": [says("Hello.")], "work": [calls(call("look", item="a")), says("Worked.")]}
BAD_CALLS: list[tuple[str, dict[str, Any], str, str]] = [
    ("send_message", {"session_id": "nobody", "message": "hi"}, "SESSION_NOT_FOUND", "nobody"),
    ("send_message", {"session_id": "s1", "message": ""}, "INVALID_ARGUMENT", "message"),
    ("send_message", {"session_id": "s1", "message": " \n"}, "INVALID_ARGUMENT", "message"),
    ("send_message", {"session_id": "s1", "message": "x" * 5_000_000}, "INVALID_ARGUMENT", "5000000"),
    ("send_message", {"message": "hi"}, "INVALID_ARGUMENT", "session_id"),
    ("send_message", {"session_id": "s1", "mesage": "hi"}, "INVALID_ARGUMENT", "'message'"),
    ("send_message", {"session_id": ["s1"], "message": "hi"}, "INVALID_ARGUMENT", "session_id"),
    ("send_message", {"session_id": "s1", "message": {"a": 1}}, "INVALID_ARGUMENT", "message"),
    ("send_message", {"session_id": "s1", "wait_seconds": -1}, "INVALID_ARGUMENT", "wait_seconds"),
    ("start_session", {"session_id": "no spaces"}, "INVALID_ARGUMENT", "session_id"),
    ("start_session", {"session_id": "s1", "message": "other"}, "SESSION_EXISTS", "s1"),
    ("start_session", {"agent": "nobody"}, "AGENT_NOT_FOUND", "nobody"),
    ("start_session", {"servers": ["dsk"]}, "INVALID_ARGUMENT", "'desk'"),
    ("start_session", {"model": "openai:other"}, "INVALID_ARGUMENT", "model"),
    ("start_session", {"max_steps": 0}, "INVALID_ARGUMENT", "max_steps"),
    ("start_session", {"max_steps": "many"}, "INVALID_ARGUMENT", "max_steps"),
    ("start_session", {"budget": {"tokns": 5}}, "INVALID_ARGUMENT", "'tokens'"),
    ("start_session", {"budget": 7}, "INVALID_ARGUMENT", "budget"),
    ("summary", {"session_id": "nobody"}, "SESSION_NOT_FOUND", "nobody"),
    ("summary", {"session_id": "s1", "detail": "all"}, "INVALID_ARGUMENT", "detail"),
    ("list_sessions", {"cursor": "x"}, "INVALID_ARGUMENT", "cursor"),
    ("list_sessions", {"status": "asleep"}, "INVALID_ARGUMENT", "status"),
    ("approve", {"session_id": "s1", "call_id": "c", "decision": "maybe"}, "INVALID_ARGUMENT", "decision"),
    ("approve", {"session_id": "s1", "call_id": "c", "decision": "allow"}, "APPROVAL_NOT_FOUND", "'c'"),
    ("cancel", {"session_id": "nobody"}, "SESSION_NOT_FOUND", "nobody"),
    ("fork_session", {"session_id": "s1", "at_step": 99}, "INVALID_ARGUMENT", "at_step"),
    ("close_session", {"session_id": "../etc"}, "INVALID_ARGUMENT", "session_id"),
]


@pytest.mark.parametrize("era", ["legacy", "auto"])
@pytest.mark.parametrize("with_progress", [False, True])
async def test_wrong_arguments_are_refused_by_name_and_nothing_is_lost(
    tmp_path: Path, era: Any, with_progress: bool
) -> None:
    async def hear(progress: float, total: float | None, message: str | None) -> None:
        """What a host shows that asks for progress, as most do."""

    with anyio.fail_after(40):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home, era) as host:
            call_tool = partial(host.call_with_progress, hear) if with_progress else host.call
            await host.call("start_session", session_id="s1", message="hello")
            before = scene.home.events()
            for tool, arguments, code, named in BAD_CALLS:
                refused = await call_tool(tool, **arguments)
                assert refused["error"]["code"] == code, (tool, str(arguments)[:100], refused["error"])
                assert named in refused["error"]["message"], (tool, str(arguments)[:100], refused["error"])
            assert scene.home.events() == before
            await still_works(host)


async def still_works(host: Host) -> None:
    """The session goes on."""
    ended = await host.say("s1", "work")
    assert (ended["text"], ended["stop_reason"]) == ("Worked.", "end_turn")


async def test_null_and_numbers_in_strings_are_taken(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            given = {
                "agent": None,
                "servers": '["desk"]',
                "max_steps": "3",
                "wait_seconds": "20",
                "budget": None,
            }
            ended = await host.call("start_session", session_id="s1", message="work", **given)
    assert ended["text"] == "Worked."


async def test_lines_that_are_no_messages_do_not_end_the_connection(tmp_path: Path) -> None:
    rubbish = [
        b"{\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"null\n",
        b'{"jsonrpc":"2.0"}\n',
        b"\n",
        b"x" * 100_000 + b"\n",
    ]
    with anyio.fail_after(30):
        async with open_scene(tmp_path, RULES) as scene, open_host(scene.home) as host:
            await host.call("start_session", session_id="s1", message="hello")
            for line in rubbish:
                await host.server.write(line)
            await still_works(host)


async def test_text_that_is_no_unicode_reaches_the_host_and_the_log(tmp_path: Path) -> None:
    odd = Call(name="desk__look", raw_arguments='{"item": "half \\ud83d of a pair"}')
    rules = {"odd": [calls(odd), Answer(text="nul \x00 and half \ud83d of a pair")]}
    with anyio.fail_after(30):
        async with open_scene(tmp_path, {**rules, **RULES}) as scene, open_host(scene.home) as host:
            ended = await host.call("start_session", session_id="s1", message="odd")
            summary = await host.call("summary", session_id="s1", detail="full")
            await still_works(host)
    assert ended["stop_reason"] == "end_turn"
    assert ended["text"].startswith("nul \x00 and half ")
    assert summary["error"] is None


MODEL_FAULTS: list[tuple[Fault, str, str]] = [
    (Fault(kind="status", status=400, type="invalid_request_error"), "MODEL_ERROR", "400"),
    (Fault(kind="status", status=401, type="authentication_error"), "MODEL_ERROR", "401"),
    (Fault(kind="status", status=429, retry_after="0", times=1), "", ""),
    (Fault(kind="status", status=500, retry_after="0", times=1), "", ""),
    (Fault(kind="status", status=529, retry_after="0", times=1), "", ""),
    (Fault(kind="disconnect", times=1), "", ""),
    (Fault(kind="no_stop", times=1), "", ""),
]


@pytest.mark.parametrize("wire", WIRES)
async def test_a_model_that_fails_is_asked_again_or_named_and_the_session_goes_on(
    tmp_path: Path, wire: WireName
) -> None:
    faulty = {f"fault {n}!": [says("Got through.", fault=f)] for n, (f, _, _) in enumerate(MODEL_FAULTS)}
    with anyio.fail_after(50):
        async with (
            open_scene(tmp_path, {**faulty, **RULES}, wire=wire) as scene,
            open_host(scene.home) as host,
        ):
            await host.call("start_session", session_id="s1", message="hello")
            for number, (fault, code, named) in enumerate(MODEL_FAULTS):
                ended = await host.call("start_session", message=f"fault {number}!")
                if not code:
                    assert (ended["text"], ended["error"]) == ("Got through.", None), fault
                    continue
                assert (ended["stop_reason"], ended["error"]["code"]) == ("error", code), fault
                assert named in ended["error"]["message"], ended["error"]
            await still_works(host)


@pytest.mark.parametrize(
    ("wire", "refusal", "cut_off"),
    [("anthropic", "refusal", "max_tokens"), ("openai-chat", "content_filter", "length")],
)
async def test_refusals_cut_answers_and_bad_calls_are_told_apart(
    tmp_path: Path, wire: WireName, refusal: str, cut_off: str
) -> None:
    rules = {
        "refuse": [says("I will not.", stop=refusal)],
        "cut": [says("The answer is", stop=cut_off)],
        "unknown": [calls(Call(name="desk__nothing")), says("So that does not exist.")],
        "broken": [calls(Call(name="desk__book", raw_arguments='{"item": "b"')), says("Let me mend that.")],
        **RULES,
    }
    with anyio.fail_after(40):
        async with open_scene(tmp_path, rules, wire=wire) as scene, open_host(scene.home) as host:
            await host.call("start_session", session_id="s1", message="hello")
            refused = await host.say("s1", "refuse")
            cut = await host.say("s1", "cut")
            unknown = await host.say("s1", "unknown")
            broken = await host.say("s1", "broken")
            await still_works(host)
    assert refused["stop_reason"] == "refusal"
    assert (cut["stop_reason"], cut["text"]) == ("max_tokens", "The answer is")
    assert unknown["text"] == "So that does not exist."
    assert unknown["steps"][0]["tool_calls"][0]["status"] == "error"
    assert broken["text"] == "Let me mend that."
    assert broken["steps"][0]["tool_calls"][0]["status"] == "error"
    assert "book b" not in work_done(scene.home)


async def test_servers_that_cannot_be_used_cost_their_own_tools_and_are_named(tmp_path: Path) -> None:
    bad = {
        "absent": {"command": "/nowhere/mcp-server"},
        "hanging": raw("--hang", connect_timeout=1),
        "leaving": raw("--exit", "no licence found"),
        "unset": raw(env={"TOKEN": "${JOURNEY_UNSET_TOKEN}"}),
        "mute": raw("--ignore-unknown"),
    }
    with anyio.fail_after(40):
        async with open_scene(tmp_path, RULES) as scene:
            scene.home.config["mcpServers"] |= bad
            async with open_host(scene.home) as host:
                await host.call("start_session", session_id="s1", message="hello")
                ended = await host.say("s1", "work")
    warnings = "\n".join(ended["warnings"])
    assert ended["text"] == "Worked."
    assert "/nowhere/mcp-server" in warnings
    assert "hanging" in warnings
    assert "no licence found" in warnings
    assert "JOURNEY_UNSET_TOKEN" in warnings
    assert "mute" not in warnings


BAD_CONFIGS: list[tuple[str, list[str]]] = [
    ('{"mcpServers": {', ["config.json", "line 1"]),
    ('{"agnts": {}, "mcpServers": {}}', ["config.json", "agnts", "agents"]),
    ('{"agents": {"a": {"instuctions": "x"}}}', ["config.json", "agents.a", "instructions"]),
    ('{"agents": {"a": {"max_steps": 0}}}', ["config.json", "agents.a.max_steps"]),
    ('{"agents": {"a": {"servers": ["nobody"]}}}', ["config.json", "agents.a.servers", "nobody"]),
    ("[]", ["config.json"]),
]


@pytest.mark.parametrize(("text", "named"), BAD_CONFIGS)
def test_a_wrong_config_ends_the_program_and_names_file_and_key(
    tmp_path: Path, text: str, named: list[str]
) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    done = serve(tmp_path, "--config", str(file))
    assert done.returncode == 2
    assert done.stdout == b""
    said = done.stderr.decode()
    assert all(word in said for word in named), said
    assert "Traceback" not in said and len(said.strip().splitlines()) == 1


def test_a_config_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = serve(tmp_path, "--config", str(tmp_path / "missing.json"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"missing.json" in done.stderr


def test_a_store_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    (tmp_path / "sessions.db").write_bytes(b"this is no database" * 100)
    file.write_text(json.dumps({"store": f"sqlite:///{tmp_path}/sessions.db"}))
    done = serve(tmp_path, "--config", str(file))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"sessions.db" in done.stderr and b"Traceback" not in done.stderr


async def test_without_any_config_or_key_the_scripted_model_answers_and_says_so(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with open_host(Home(tmp_path)) as host:
            ended = await host.call("start_session", message="hello")
    assert ended["error"] is None
    assert "model" in ended["text"].lower()


def serve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run `agent-mcp serve` with nothing on stdin."""
    return subprocess.run(
        [sys.executable, "-m", "agent_mcp", "serve", *arguments],
        env=environment(Home(folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )


async def test_a_session_whose_log_makes_no_sense_fails_in_every_tools_own_schema(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with open_store(f"sqlite:///{home.store}") as store:
        event = RawEvent(1, 0, 1.0, "tool_started", '{"call_id":"call_of_nobody","rerun":false}')
        archive = SessionArchive("odd", "{}", head=1, created_at=1.0, updated_at=1.0)
        await store.restore(archive, lambda: iter([event]))
    async with open_host(home) as host:
        for tool, more in (("summary", {}), ("send_message", {"message": "hello"}), ("close_session", {})):
            answer = await host.call(tool, session_id="odd", **more)
            assert answer["error"]["code"] == "INTERNAL_ERROR"
