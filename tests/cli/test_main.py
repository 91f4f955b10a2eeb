"""The program's front door: usage, exit status, and one line for every failure."""

import shlex
import signal
import subprocess
import sys

import pytest

from agent_mcp import version
from tests.cli.conftest import DESK, TIMEOUT_SECONDS, Machine

HEAVY = ("mcp", "mcp_types", "pydantic", "anyio", "anthropic", "openai", "yaml", "platformdirs")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["serve", "--help"], ["sessions", "-h"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom agent_mcp.__main__ import main\n"
        f"try: main({arguments!r})\nexcept SystemExit as end: assert not end.code\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)


def test_version_names_program_and_version(machine: Machine) -> None:
    done = machine.run("--version")
    assert (done.returncode, done.stdout) == (0, f"agent-mcp {version()}\n")


def test_help_names_every_command(machine: Machine) -> None:
    done = machine.run("--help")
    assert done.returncode == 0
    for command in ("serve", "demo", "doctor", "sessions"):
        assert command in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["serve", "--port", "many"],
        ["serve", "--port", "70000"],
        ["serve", "--transport", "smoke"],
        ["serve", "--port", "9000"],
        ["--host", "0.0.0.0"],
        ["sessions"],
        ["sessions", "show"],
        ["sessions", "nonsense"],
    ],
)
def test_wrong_usage_ends_with_2(machine: Machine, arguments: list[str]) -> None:
    done = machine.run(*arguments)
    assert done.returncode == 2
    assert "usage: agent-mcp" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["serve", "doctor", "sessions list"])
@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('{"agents": }', ["line 1, column 12", "not JSON"]),
        ({"agents": {}, "storee": "x"}, ["storee", "`store`"]),
        ({"agents": {"a": {"max_steps": "x"}}}, ["agents.a.max_steps", "whole number"]),
        ({"defaults": {"model": "nothing"}}, ["defaults.model", "`nothing`"]),
        ({"store": "mysql://host/x"}, [": store: ", "'mysql'"]),
        ({"store": "postgresql://user:a@b@host/x"}, [": store: ", "%40"]),
        ({"store": "postgresql:/user:hush@host/x"}, [": store: ", "no store address", "postgresql://"]),
    ],
)
def test_a_wrong_config_ends_with_2_and_names_file_key_and_problem(
    machine: Machine, command: str, config: object, words: list[str]
) -> None:
    file = machine.write_config(config)
    done = machine.run(*command.split(), "--config", str(file))
    assert done.returncode == 2
    said = done.stdout + done.stderr
    for word in [str(file), *words]:
        assert word in said
    assert "Traceback" not in said and "hush" not in said


def test_a_config_that_is_not_there_ends_with_2_in_one_line(machine: Machine) -> None:
    done = machine.run("--config", "nowhere.json")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("agent-mcp: ") and "nowhere.json" in line


def test_options_may_stand_before_and_after_the_command(machine: Machine) -> None:
    machine.write_config('{"broken"', "a.json")
    for arguments in (["--config", "a.json", "doctor"], ["doctor", "--config", "a.json"]):
        assert machine.run(*arguments).returncode == 2


def test_a_store_that_cannot_be_used_ends_with_1_in_one_line(machine: Machine) -> None:
    (machine.home / "file").write_text("not a directory")
    done = machine.run("sessions", "list", AGENT_MCP_STORE=f"sqlite:///{machine.home}/file/s.db")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_traceback_comes_only_with_debug(machine: Machine) -> None:
    done = machine.run("--debug", "--config", "nowhere.json")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_reader_that_has_enough_is_no_failure_with_a_traceback(machine: Machine) -> None:
    with machine.serve("sessions", "list") as host:
        assert host.process.stdout is not None
        host.process.stdout.close()
        status = host.process.wait(timeout=30)
        assert status in (0, 141)
        assert "Traceback" not in host.errors()
        assert "Exception ignored" not in host.errors()


def test_a_reader_that_has_enough_in_the_middle_ends_it_without_a_word(machine: Machine) -> None:
    with machine.serve("sessions", "list", PYTHONUNBUFFERED="1") as host:
        assert host.process.stdout is not None
        host.process.stdout.close()
        assert host.process.wait(timeout=30) == 141
        assert host.errors() == ""


def test_secrets_of_the_config_do_not_reach_the_log(machine: Machine) -> None:
    servers = {"desk": {**DESK, "env": {"API_TOKEN": "hush-hush-token"}}}
    file = machine.write_config({"defaults": {}, "mcpServers": servers})
    done = machine.run("serve", "--config", str(file), "--debug", AGENT_MCP_LOG_LEVEL="DEBUG")
    assert done.returncode == 0
    assert "hush-hush" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's redirections")
@pytest.mark.parametrize(
    "command", ["serve <&-", "serve </dev/null >&-", "sessions list >&-", "serve <&- >&- 2>&-"]
)
def test_a_standard_stream_that_was_closed_is_an_empty_one(machine: Machine, command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m agent_mcp {command}"],
        env=machine.environ,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_before_the_command_has_begun_ends_it_as_one_after(name: str) -> None:
    program = (
        "import os, signal, sys, time, agent_mcp.__main__ as program\n"
        f"program.parse = lambda argv: (os.kill(os.getpid(), signal.{name}), time.sleep(20))\n"
        "sys.exit(program.main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (128 + getattr(signal, name), b"")


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_no_error_and_no_traceback_shows_a_secret(machine: Machine, debug: tuple[str, ...]) -> None:
    program = """
import sys
from agent_mcp.__main__ import main
from agent_mcp.cli import sessions
from agent_mcp.cli.startup import configure

def run(options):
    configure(options)
    try:
        raise ValueError("sent planted-secret-1")
    except ValueError as error:
        raise RuntimeError("refused planted-secret-1") from error

sessions.run = run
sys.exit(main(["sessions", "list", *sys.argv[1:]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *debug],
        env={**machine.environ, "DOCS_TOKEN": "planted-secret-1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "refused ***" in done.stderr
    assert ("sent ***" in done.stderr) == bool(debug)
    assert "planted" not in done.stdout + done.stderr
