"""Where the program of a server is found."""

import os
import stat
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import anyio
import pytest

from agent_mcp.downstream.commands import Found, Seeker, locate, this_machine, with_folder_first
from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.stdio import Launch, open_stdio
from agent_mcp.downstream.wire import JsonObject

pytestmark = pytest.mark.anyio


def _seeker(
    programs: Collection[str], *, platform: str = "linux", folders: Mapping[str, Sequence[str]] | None = None
) -> Seeker:
    known = folders or {}
    return Seeker(
        platform, is_program=lambda path: path in programs, list_folder=lambda path: known.get(path, ())
    )


def test_an_absolute_path_is_taken_as_it_is() -> None:
    assert _seeker({"/opt/x/run"}).find("/opt/x/run", env={}, cwd="/") == Found("/opt/x/run")


def test_a_path_with_a_folder_is_relative_to_the_working_directory() -> None:
    assert _seeker({"/project/bin/run"}).find("./bin/run", env={"PATH": "/bin"}, cwd="/project") == Found(
        "/project/bin/run"
    )


def test_a_tilde_is_the_home_of_the_child() -> None:
    assert _seeker({"/home/u/run"}).find("~/run", env={"HOME": "/home/u"}, cwd="/project") == Found(
        "/home/u/run"
    )


def test_the_path_comes_before_the_usual_places() -> None:
    seeker = _seeker({"/first/uvx", "/home/u/.local/bin/uvx"})
    assert seeker.find("uvx", env={"PATH": "/first:/second", "HOME": "/home/u"}, cwd="/") == Found(
        "/first/uvx"
    )


@pytest.mark.parametrize(
    "place",
    ["/home/u/.local/bin", "/home/u/.cargo/bin", "/home/u/.volta/bin", "/opt/homebrew/bin", "/usr/local/bin"],
)
def test_places_that_a_desktop_host_lacks_are_searched(place: str) -> None:
    found = _seeker({f"{place}/npx"}).find("npx", env={"PATH": "/bin", "HOME": "/home/u"}, cwd="/")
    assert found == Found(f"{place}/npx")


def test_the_newest_node_of_nvm_is_taken() -> None:
    versions = "/home/u/.nvm/versions/node"
    programs = {f"{versions}/{version}/bin/npx" for version in ("v9.1.0", "v20.1.0", "v18.20.4")}
    seeker = _seeker(programs, folders={versions: ["v9.1.0", "v20.1.0", "v18.20.4"]})
    found = seeker.find("npx", env={"HOME": "/home/u"}, cwd="/")
    assert found == Found(f"{versions}/v20.1.0/bin/npx")


def test_what_is_nowhere_comes_back_as_the_places_searched() -> None:
    found = _seeker(()).find("nope", env={"PATH": "/a:/b", "HOME": "/home/u"}, cwd="/")
    assert isinstance(found, tuple)
    assert found[:2] == ("/a", "/b")
    assert "/opt/homebrew/bin" in found


_WINDOWS_ENV = {"Path": r"C:\node", "PATHEXT": ".COM;.EXE;.CMD", "SystemRoot": r"C:\Windows"}
_CMD = (r"C:\Windows\System32\cmd.exe", "/d", "/c", "call")


def test_on_windows_npx_is_npx_cmd_and_goes_through_its_interpreter() -> None:
    found = _seeker({r"C:\node\npx.cmd"}, platform="win32").find("npx", env=_WINDOWS_ENV, cwd="C:\\")
    assert found == Found(r"C:\node\npx.cmd", _CMD)
    assert isinstance(found, Found)
    assert found.argv(["-y", "x"]) == [*_CMD, r"C:\node\npx.cmd", "-y", "x"]


def test_on_windows_spaces_in_the_path_and_in_arguments_reach_the_program_as_they_are() -> None:
    npx = r"C:\Program Files\nodejs\npx.cmd"
    found = _seeker({npx}, platform="win32").find(npx, env=_WINDOWS_ENV, cwd="C:\\")
    assert isinstance(found, Found)
    _, read_by_cmd = subprocess.list2cmdline(found.argv(["-y", r"C:\Users\Jane Doe"])).split(" /c ")
    # Where the first character is a quote, `cmd /?` says, it takes that one and the last one away.
    assert read_by_cmd == rf'call "{npx}" -y "C:\Users\Jane Doe"'


def test_on_windows_an_exe_is_started_directly() -> None:
    seeker = _seeker({r"C:\node\node.exe", r"C:\node\node.cmd"}, platform="win32")
    assert seeker.find("node", env=_WINDOWS_ENV, cwd="C:\\") == Found(r"C:\node\node.exe")


def test_on_windows_a_given_ending_is_kept_and_paths_are_windows_paths() -> None:
    seeker = _seeker({r"C:\project\tools\run.bat"}, platform="win32")
    env = {**_WINDOWS_ENV, "PATHEXT": ".EXE;.BAT"}
    assert seeker.find(r"tools\run.bat", env=env, cwd=r"C:\project") == Found(
        r"C:\project\tools\run.bat", _CMD
    )


def test_on_windows_the_users_own_places_are_searched() -> None:
    seeker = _seeker({r"C:\Users\u\AppData\Roaming\npm\x.cmd"}, platform="win32")
    env = {**_WINDOWS_ENV, "APPDATA": r"C:\Users\u\AppData\Roaming"}
    found = seeker.find("x", env=env, cwd="C:\\")
    assert isinstance(found, Found)
    assert found.path == r"C:\Users\u\AppData\Roaming\npm\x.cmd"


def test_the_programs_own_folder_comes_first_in_the_childs_path() -> None:
    env = with_folder_first({"PATH": "/old:/new:/bin"}, "/new/npx", platform="linux")
    assert env["PATH"] == "/new:/old:/bin"


def test_the_programs_own_folder_comes_first_on_windows_too() -> None:
    env = with_folder_first({"Path": r"C:\old"}, r"C:\node\npx.cmd", platform="win32")
    assert env == {"Path": r"C:\node;C:\old"}


async def test_the_login_shells_path_is_asked_when_nothing_else_helps(tmp_path: Path) -> None:
    program = _executable(tmp_path / "secret" / "findme", "#!/bin/sh\n")
    shell = _executable(tmp_path / "shell", f"#!/bin/sh\necho welcome\necho PATH={program.parent}:/bin\n")
    env = {"SHELL": str(shell), "PATH": "/bin"}
    with anyio.fail_after(5):
        found = await locate(this_machine("linux"), "findme", env=env, cwd="/")
    assert found == Found(str(program))


async def test_the_error_names_the_places_searched() -> None:
    with pytest.raises(UnavailableError, match="`nope` was not found; looked in: /nowhere, "):
        await locate(this_machine("linux"), "nope", env={"PATH": "/nowhere"}, cwd="/")


async def test_a_file_that_cannot_be_run_is_not_the_program(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UnavailableError, match=os.fspath(tmp_path)):
        await locate(this_machine("linux"), "./run", env={}, cwd=str(tmp_path))


def _executable(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize("text", ["a&calc", "%PATH%", "x|y", '"', "a^b", "!v!", "two\nlines", ">out"])
def test_on_windows_an_interpreter_gets_nothing_that_it_would_act_on(text: str) -> None:
    with pytest.raises(UnavailableError, match=r"args\.1 holds"):
        Found(r"C:\node\npx.cmd", _CMD).argv(["-y", text])
    with pytest.raises(UnavailableError, match="command holds"):
        Found(rf"C:\{text}\npx.cmd", _CMD).argv([])
    assert Found(r"C:\node\node.exe").argv([text]) == [r"C:\node\node.exe", text]


async def test_arguments_reach_a_server_as_they_are_and_no_shell_reads_them(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    args = [
        f"; touch {mark}",
        f"$(touch {mark})",
        f"`touch {mark}`",
        f"& touch {mark} &",
        f"\ntouch {mark}",
        "*",
    ]
    script = "import json, sys; print(json.dumps({'argv': sys.argv[1:]}))"
    seen: list[JsonObject] = []
    launch = Launch([sys.executable, "-c", script, *args], dict(os.environ))
    with anyio.fail_after(10):
        async with open_stdio(launch) as wire:
            await wire.listen(lambda message, stream=None, /: seen.append(message))
    assert seen == [{"argv": args}]
    assert not mark.exists()
