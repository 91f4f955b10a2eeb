"""Where the logins to servers behind HTTP are kept: one record a server, for nobody else's eyes.

A record is a file of mode 0600 in the user's data directory. Where the optional `keyring` package is installed and
has a place to keep things, the file only says so and the record is there. Changes are made under a lock that reaches
across processes, since a refresh token often works only once. Knows nothing of what is in a record beyond its JSON.
"""

import hashlib
import importlib.util
import json
import logging
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import anyio
from anyio.to_thread import run_sync
from filelock import FileLock, Timeout
from platformdirs import user_data_path

from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.wire import JsonObject

_log = logging.getLogger(__name__)

_KEYRING_SERVICE = "agent-mcp login"
_POINTER: JsonObject = {"kept": "keyring"}
"""What the file holds where the record is in the keyring."""
_LOCK_SECONDS = 60.0
"""Longer than any request that another process makes while it holds the lock."""
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one server; each part as the wire has it, `None` for what is not known."""

    tokens: JsonObject | None = None
    """RFC 6749 §5.1, with `scope` as it was granted."""
    client: JsonObject | None = None
    """How we are registered, RFC 7591 §3.2.1, with the issuer it was with."""
    resource: JsonObject | None = None
    """The server's metadata, RFC 9728."""
    issuer: JsonObject | None = None
    """The authorization server's metadata, RFC 8414."""
    challenge: JsonObject | None = None
    """The last one that no token of ours answered: `resource_metadata`, `scope`."""

    @property
    def access_token(self) -> str | None:
        """The token to send."""
        return self._of_tokens("access_token")

    @property
    def scope(self) -> str | None:
        """What the token allows, names with spaces between them."""
        return self._of_tokens("scope")

    def _of_tokens(self, name: str) -> str | None:
        value = (self.tokens or {}).get(name)
        return value if isinstance(value, str) else None


class Vault:
    """The record of one server, by its URL, and by our client id there if the config gives one."""

    def __init__(self, url: str, client_id: str | None = None, *, folder: Path | None = None) -> None:
        parts = urlsplit(url)
        canonical = urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path, parts.query, ""))
        digest = hashlib.sha256(f"{canonical}\n{client_id or ''}".encode()).hexdigest()[:16]
        self._name = f"{_plain(parts.hostname or '')}-{digest}"
        self._folder = folder or user_data_path("agent-mcp", appauthor=False) / "logins"
        self._file = self._folder / f"{self._name}.json"

    def is_empty(self) -> bool:
        """Whether nothing was ever kept; a look at the disk and no more."""
        return not self._file.exists()

    async def read(self) -> Record:
        """The record; an empty one where there is none or it can't be read."""
        return await run_sync(self._read)

    @asynccontextmanager
    async def locked(self) -> AsyncGenerator[None]:
        """The right to change the record, held by one task of one process at a time.

        Raises:
            UnavailableError: someone else holds it for too long, or the directory can't be written to.
        """
        lock = await run_sync(self._lock)
        await self._acquire(lock)
        try:
            yield
        finally:
            lock.release()

    async def write(self, record: Record) -> None:
        """Keep a record in the place of the old one; under the lock.

        Raises:
            UnavailableError: it can't be kept.
        """
        try:
            await run_sync(self._write, record)
        except OSError as error:
            raise UnavailableError(f"its login can't be kept in {self._folder}: {error.strerror}") from error

    async def forget(self) -> None:
        """Remove the record; under the lock."""
        await run_sync(self._forget)

    async def _acquire(self, lock: FileLock) -> None:
        with anyio.move_on_after(_LOCK_SECONDS):
            while True:
                if _taken(lock):
                    return
                await anyio.sleep(_POLL_SECONDS)
        raise UnavailableError("another process is busy with its login")

    def _lock(self) -> FileLock:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"{self._folder} can't be made: {error.strerror}") from error
        file = self._folder / f"{self._name}.lock"
        return FileLock(file, mode=0o600, thread_local=False, is_singleton=False, fallback_to_soft=False)

    def _read(self) -> Record:
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Record()
        except (OSError, UnicodeDecodeError) as error:
            _log.warning("the login in %s can't be read: %s", self._file, type(error).__name__)
            return Record()
        if _parsed(text) == _POINTER:
            text = _from_keyring(self._name)
        return _to_record(_parsed(text))

    def _write(self, record: Record) -> None:
        text = json.dumps(asdict(record))
        self._replace(json.dumps(_POINTER) if _to_keyring(self._name, text) else text)

    def _replace(self, text: str) -> None:
        """Whole or not at all, and never readable by others, not even for a moment."""
        new = self._folder / f"{self._name}.new"
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(self._file)

    def _forget(self) -> None:
        if keyring := _keyring():
            with suppress(keyring.errors.KeyringError):
                keyring.delete_password(_KEYRING_SERVICE, self._name)
        self._file.unlink(missing_ok=True)


def _taken(lock: FileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError as error:
        raise UnavailableError(f"{lock.lock_file} can't be locked: {error.strerror}") from error
    return True


def _plain(host: str) -> str:
    """A host as part of a file's name, on every system."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", host)[:80]


def _parsed(text: str) -> JsonObject:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return {}
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _to_record(data: JsonObject) -> Record:
    """Keys of a newer version are left out; a part that is no object is not known."""
    known = [each.name for each in fields(Record)]
    return Record(**{name: data[name] for name in known if isinstance(data.get(name), dict)})


def _keyring() -> Any:
    """The optional package, or None."""
    if importlib.util.find_spec("keyring") is None:
        return None
    keyring = importlib.import_module("keyring")
    importlib.import_module("keyring.errors")
    return keyring


def _from_keyring(name: str) -> str:
    keyring = _keyring()
    if keyring is None:
        _log.warning("a login is in the system's keyring, and the package `keyring` is no longer there")
        return ""
    try:
        return keyring.get_password(_KEYRING_SERVICE, name) or ""
    except keyring.errors.KeyringError as error:
        _log.warning("the system's keyring does not answer: %s", type(error).__name__)
        return ""


def _to_keyring(name: str, text: str) -> bool:
    """Whether it is kept there: many machines without a desktop have the package, but nothing behind it."""
    keyring = _keyring()
    if keyring is None:
        return False
    try:
        keyring.set_password(_KEYRING_SERVICE, name, text)
    except keyring.errors.KeyringError as error:
        _log.debug("kept in a file, since the keyring says %s", type(error).__name__)
        return False
    return True
