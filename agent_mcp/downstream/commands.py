"""Finding the program of a stdio server, also where a desktop host has started us with hardly any PATH.

The search itself is a pure function of the platform, the environment and a test for "this can be run"; only the
question to the login shell runs anything. A server is never started through a shell; `.cmd` and `.bat` files on
Windows, which only their interpreter can run, are the one exception.
"""

import ntpath
import posixpath
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import anyio

from agent_mcp.downstream.faults import UnavailableError

_LOGIN_SHELL_SECONDS = 3.0
_HOME_PLACES = (
    ".local/bin", ".cargo/bin", "bin", ".bun/bin", ".deno/bin", ".volta/bin", ".local/share/mise/shims", ".asdf/shims",
    ".pyenv/shims", ".local/share/fnm/aliases/default/bin", ".nvm/current/bin",
)  # fmt: skip
_NODE_VERSIONS = (".nvm/versions/node", ".local/share/fnm/node-versions")
_MACHINE_PLACES = (
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/usr/bin",
    "/bin",
    "/snap/bin",
)
_WINDOWS_PLACES = (
    r"{APPDATA}\npm", r"{LOCALAPPDATA}\Volta\bin", r"{LOCALAPPDATA}\Programs\nodejs", r"{USERPROFILE}\.local\bin",
    r"{USERPROFILE}\.cargo\bin", r"{USERPROFILE}\scoop\shims", r"C:\Program Files\nodejs",
)  # fmt: skip
_CMD_METACHARACTERS = re.compile(r"[\"%!^&|<>\r\n\x00]")
_DEFAULT_PATHEXT = ".COM;.EXE;.BAT;.CMD"

IsProgram = Callable[[str], bool]
ListFolder = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Found:
    """A program, and what to start it with."""

    path: str
    prefix: tuple[str, ...] = ()
    """The interpreter that must stand before it (`cmd.exe /c call`); empty nearly always."""

    def argv(self, args: Sequence[str]) -> list[str]:
        """The whole command line.

        Raises:
            UnavailableError: an interpreter would take an argument for more than text.
        """
        if self.prefix:
            _refuse_metacharacters((self.path, *args))
        return [*self.prefix, self.path, *args]


@dataclass(frozen=True, slots=True)
class Seeker:
    """Where and how programs are sought on one machine."""

    platform: str
    """As `sys.platform`."""
    is_program: IsProgram
    list_folder: ListFolder

    def find(self, command: str, *, env: Mapping[str, str], cwd: str) -> Found | tuple[str, ...]:
        """The program, or the folders in which it was sought in vain.

        `env` is the child's; a command with a folder in it is sought relative to `cwd` only.
        """
        flavour = self._flavour
        if flavour.dirname(command):
            path = flavour.normpath(flavour.join(cwd, _expanded(command, env, flavour)))
            return self._as_found(path, env) or (flavour.dirname(path),)
        return self.find_in(self._places(env), command, env=env)

    def find_in(
        self, places: Sequence[str], command: str, *, env: Mapping[str, str]
    ) -> Found | tuple[str, ...]:
        """The program in the first of these folders that has it, or the folders."""
        for place in places:
            if found := self._as_found(self._flavour.join(place, command), env):
                return found
        return tuple(places)

    @property
    def _flavour(self) -> ModuleType:
        return ntpath if self.platform == "win32" else posixpath

    def _as_found(self, path: str, env: Mapping[str, str]) -> Found | None:
        for candidate in self._spellings(path, env):
            if self.is_program(candidate):
                return Found(candidate, self._interpreter(candidate, env))
        return None

    def _spellings(self, path: str, env: Mapping[str, str]) -> Iterator[str]:
        """On Windows `npx` is `npx.cmd`; a file without one of the endings can't be started there."""
        if self.platform != "win32":
            yield path
            return
        endings = [ending for ending in _lookup(env, "PATHEXT", _DEFAULT_PATHEXT).split(";") if ending]
        if path.lower().endswith(tuple(ending.lower() for ending in endings)):
            yield path
        yield from (path + ending.lower() for ending in endings)

    def _interpreter(self, path: str, env: Mapping[str, str]) -> tuple[str, ...]:
        if self.platform == "win32" and path.lower().endswith((".cmd", ".bat")):
            root = _lookup(env, "SYSTEMROOT", r"C:\Windows")
            # A line that begins with a quote loses its first and its last one to `/c`, and a path with a space in it
            # (`C:\Program Files\nodejs\npx.cmd`) would end at the space. Behind `call` all quotes stay.
            return (ntpath.join(root, "System32", "cmd.exe"), "/d", "/c", "call")
        return ()

    def _places(self, env: Mapping[str, str]) -> list[str]:
        """PATH, then what a host started from a desktop lacks."""
        path = [place for place in _lookup(env, "PATH", "").split(self._flavour.pathsep) if place]
        extra = self._windows_places(env) if self.platform == "win32" else self._posix_places(env)
        return list(dict.fromkeys([*path, *extra]))

    def _windows_places(self, env: Mapping[str, str]) -> Iterator[str]:
        known = {name.upper(): value for name, value in env.items()}
        for place in _WINDOWS_PLACES:
            try:
                yield place.format_map(known)
            except KeyError:
                continue

    def _posix_places(self, env: Mapping[str, str]) -> Iterator[str]:
        if home := env.get("HOME"):
            yield from (posixpath.join(home, place) for place in _HOME_PLACES)
            for versions in (posixpath.join(home, folder) for folder in _NODE_VERSIONS):
                newest_first = sorted(self.list_folder(versions), key=_version, reverse=True)
                yield from (posixpath.join(versions, name, "bin") for name in newest_first)
                yield from (posixpath.join(versions, name, "installation", "bin") for name in newest_first)
        yield from _MACHINE_PLACES


def _refuse_metacharacters(words: Sequence[str]) -> None:
    """`cmd.exe` reads its command line again, quotes or not: `a&b` would run `b` (CVE-2024-24576, "BatBadBut")."""
    for index, word in enumerate(words):
        if found := _CMD_METACHARACTERS.search(word):
            # Not quoted: an argument may be a secret.
            place = f"args.{index - 1}" if index else "command"
            raise UnavailableError(
                f"{place} holds {found[0]!r}, which the interpreter of .cmd and .bat files would act on; "
                "name the program itself (`node` with the script's path, or an .exe), which is run without one"
            )


def this_machine(platform: str) -> Seeker:
    """The seeker that looks at the real file system."""
    return Seeker(platform, is_program=lambda path: shutil.which(path) is not None, list_folder=_list_folder)


async def locate(seeker: Seeker, command: str, *, env: Mapping[str, str], cwd: str) -> Found:
    """The program of `command`.

    Raises:
        UnavailableError: it is nowhere; the message lists the places.
    """
    found = await anyio.to_thread.run_sync(lambda: seeker.find(command, env=env, cwd=cwd))
    if isinstance(found, Found):
        return found
    searched = found
    if seeker.platform != "win32" and not posixpath.dirname(command):
        known = set(searched)
        extra = [place for place in await _login_shell_path(env) if place not in known]
        found = seeker.find_in(extra, command, env=env)
        if isinstance(found, Found):
            return found
        searched = (*searched, *extra)
    places = ", ".join(searched) or "an empty PATH"
    raise UnavailableError(f"the command `{command}` was not found; looked in: {places}")


def with_folder_first(env: Mapping[str, str], program: str, *, platform: str) -> dict[str, str]:
    """The environment with the program's own folder in front of PATH.

    So that `npx` finds the `node` that it came with, not an older one that the host put first.
    """
    flavour = ntpath if platform == "win32" else posixpath
    name = next((key for key in env if key.upper() == "PATH"), "PATH") if platform == "win32" else "PATH"
    folder = flavour.dirname(program)
    others = [place for place in env.get(name, "").split(flavour.pathsep) if place and place != folder]
    return {**env, name: flavour.pathsep.join([folder, *others])}


async def _login_shell_path(env: Mapping[str, str]) -> list[str]:
    """The PATH of the user's own shell with its profile read; nothing if there is no shell, or it dawdles."""
    shell = env.get("SHELL", "")
    if not posixpath.isabs(shell) or shutil.which(shell) is None:
        return []
    with anyio.move_on_after(_LOGIN_SHELL_SECONDS):
        try:
            done = await anyio.run_process(
                [shell, "-ilc", "command env"],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                env=dict(env),
                start_new_session=True,
            )
        except OSError:
            return []
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        paths = [line.removeprefix("PATH=") for line in lines if line.startswith("PATH=")]
        return [place for place in paths[-1].split(":") if place] if paths else []
    return []


def _expanded(command: str, env: Mapping[str, str], flavour: ModuleType) -> str:
    home = _lookup(env, "HOME", _lookup(env, "USERPROFILE", ""))
    return flavour.join(home, command[2:]) if home and command.startswith(("~/", "~\\")) else command


def _lookup(env: Mapping[str, str], name: str, default: str) -> str:
    """A variable by its name in any case, as Windows writes `Path`."""
    if name in env:
        return env[name]
    return next((value for key, value in env.items() if key.upper() == name), default)


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.removeprefix("v").split(".") if part.isdigit())


def _list_folder(path: str) -> list[str]:
    try:
        return [entry.name for entry in Path(path).iterdir()]
    except OSError:
        return []
