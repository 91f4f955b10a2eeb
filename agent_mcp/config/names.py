"""Where a config's secrets may lie: variables of the environment, files, the system's keyring; all by one name.

To who asks, it is an environment with more in it: `file:PATH` is a file's text, `keyring:SERVICE/NAME` an entry of the
keyring, each read when it is first asked for. Going over it shows the environment alone, so that no child gets them.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_mcp.config.paths import resolve

FILE, KEYRING = "file:", "keyring:"
_MOST_BYTES = 64 * 1024
"""A secret is short; a larger file was named by mistake."""


class Names(Mapping[str, str]):
    """The environment, and what files and the keyring hold; relative paths are meant from `base`."""

    def __init__(self, environ: Mapping[str, str], *, base: Path | None = None) -> None:
        self._environ = environ
        self._base = base or Path.cwd()
        self._found: dict[str, str] = {}
        self._reasons: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if not name.startswith((FILE, KEYRING)):
            return self._environ[name]
        if name not in self._found and name not in self._reasons:
            self._look_up(name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that were read, whole paths."""
        files = (self.whole(name) for name in self._found if name.startswith(FILE))
        return tuple(dict.fromkeys(file.removeprefix(FILE) for file in files))

    def whole(self, name: str) -> str:
        """The name with a whole path in it, so that it means the same from everywhere."""
        if not name.startswith(FILE):
            return name
        return f"{FILE}{resolve(name.removeprefix(FILE), base=self._base, environ=self._environ)}"

    def why_missing(self, name: str) -> str:
        """What is wrong with a name that has no value, in words that follow a key."""
        if name.startswith((FILE, KEYRING)):
            self.get(name)
            return self._reasons.get(name, "is not there")
        return f"the environment variable {name} is not set"

    def _look_up(self, name: str) -> None:
        whole = self.whole(name)
        try:
            if name.startswith(FILE):
                self._found[whole] = self._found[name] = _text(Path(whole.removeprefix(FILE)))
            else:
                self._found[name] = _from_keyring(name.removeprefix(KEYRING))
        except _MissingError as error:
            self._reasons[name] = str(error)


class _MissingError(Exception):
    """There is no value; the message says why."""


def with_names(environ: Mapping[str, str], *, base: Path | None = None) -> Names:
    """The environment with files and keyring; as it is, if it has them already."""
    return environ if isinstance(environ, Names) else Names(environ, base=base)


def _text(path: Path) -> str:
    if not path.is_file():
        # Others could be read for ever: a pipe, a terminal.
        raise _MissingError(f"the file {path} is not there, or no plain file")
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _MissingError(f"the file {path} can't be read: {error.strerror or error}") from error
    if len(content) > _MOST_BYTES:
        raise _MissingError(f"the file {path} has more than {_MOST_BYTES} bytes: no secret is so long")
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise _MissingError(f"the file {path} is not UTF-8 text") from error
    if not text.strip() or "\0" in text:
        raise _MissingError(f"the file {path} holds no text")
    return text


def _from_keyring(name: str) -> str:
    service, slash, user = name.rpartition("/")
    if not slash or not service or not user:
        raise _MissingError(f"keyring:{name} is no name of an entry: write keyring:SERVICE/NAME")
    try:
        keyring: Any = import_module("keyring")  # An extra; only who names an entry pays for it.
    except ImportError as error:
        raise _MissingError("the keyring needs a package: pip install 'agent-mcp[keyring]'") from error
    try:
        found = keyring.get_password(service, user)
    except Exception as error:
        # Backends raise what they like; their words may not be known to be free of secrets.
        raise _MissingError(f"the system's keyring can't be read: {type(error).__name__}") from error
    if not found:
        raise _MissingError(f"the keyring has no entry {user} of {service}")
    return found
