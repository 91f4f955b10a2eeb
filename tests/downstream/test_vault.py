"""Where logins are kept: whole, for one user alone, and never changed by two at once."""

import os
import sys
from pathlib import Path
from types import ModuleType

import anyio
import pytest

from agent_mcp.downstream.faults import UnavailableError
from agent_mcp.downstream.vault import Record, Vault

pytestmark = pytest.mark.anyio

URL = "https://docs.example.org/mcp"
RECORD = Record(tokens={"access_token": "secret-a", "scope": "read"}, client={"client_id": "c"})


async def kept(vault: Vault, record: Record = RECORD) -> Record:
    """The record as it is read after it was written."""
    async with vault.locked():
        await vault.write(record)
    return await vault.read()


def modes(folder: Path) -> dict[str, int]:
    """Who may do what with each file, by its ending, and with the folder."""
    return {file.suffix: file.stat().st_mode & 0o777 for file in (folder, *folder.iterdir())}


def texts(folder: Path) -> str:
    """All that is on the disk."""
    return "".join(file.read_text() for file in folder.iterdir())


def damage(folder: Path, text: str) -> None:
    """Put something else into the one record there is."""
    (file,) = folder.glob("*.json")
    file.write_bytes(text.encode("latin-1"))


async def test_a_record_is_found_again_by_its_url_however_that_is_written(logins: Path) -> None:
    assert await kept(Vault(URL)) == RECORD
    same = await Vault("HTTPS://Docs.Example.org/mcp#top").read()
    assert (same, same.access_token, same.scope) == (RECORD, "secret-a", "read")
    for other in (Vault(f"{URL}/other"), Vault(URL, "client-2")):
        assert other.is_empty()
        assert await other.read() == Record()


@pytest.mark.skipif(sys.platform == "win32", reason="the user's data directory has its own rules there")
async def test_nobody_else_can_read_it(logins: Path) -> None:
    before = os.umask(0)
    try:
        await kept(Vault(URL))
    finally:
        os.umask(before)
    assert modes(logins) == {"": 0o700, ".json": 0o600, ".lock": 0o600}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"tokens": 3, "newer": {}}', "\xff"])
async def test_a_damaged_record_is_an_empty_one(logins: Path, text: str) -> None:
    vault = Vault(URL)
    await kept(vault)
    damage(logins, text)
    assert await vault.read() == Record()


async def test_one_at_a_time_may_change_it() -> None:
    inside: list[int] = []
    most = 0

    async def change() -> None:
        nonlocal most
        async with Vault(URL).locked():
            inside.append(1)
            most = max(most, len(inside))
            await anyio.sleep(0.01)
            inside.pop()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(change)
    assert most == 1


async def test_forgetting_leaves_nothing_of_it(logins: Path) -> None:
    vault = Vault(URL)
    await kept(vault)
    async with vault.locked():
        await vault.forget()
        await vault.forget()
    assert vault.is_empty()
    assert "secret-a" not in texts(logins)


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="can't be made"):
        async with Vault(URL, folder=tmp_path / "file" / "logins").locked():
            pass


class _Keyring(ModuleType):
    """A keyring as the package `keyring` offers it, which may have nothing behind it."""

    def __init__(self, *, works: bool) -> None:
        super().__init__("keyring")
        self.__spec__ = object()  # pyright: ignore[reportAttributeAccessIssue]  # found without an import
        self.works = works
        self.entries: dict[tuple[str, str], str] = {}
        self.errors = ModuleType("keyring.errors")
        self.error = type("KeyringError", (Exception,), {})
        self.errors.KeyringError = self.error  # pyright: ignore[reportAttributeAccessIssue]

    def set_password(self, service: str, name: str, text: str) -> None:
        if not self.works:
            raise self.error
        self.entries[service, name] = text

    def get_password(self, service: str, name: str) -> str | None:
        if not self.works:
            raise self.error
        return self.entries.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        if (service, name) not in self.entries:
            raise self.error
        del self.entries[service, name]


def install(monkeypatch: pytest.MonkeyPatch, *, works: bool) -> _Keyring:
    """The package, as if it were installed."""
    keyring = _Keyring(works=works)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", keyring.errors)
    return keyring


async def test_with_a_keyring_the_disk_holds_no_token(monkeypatch: pytest.MonkeyPatch, logins: Path) -> None:
    keyring = install(monkeypatch, works=True)
    vault = Vault(URL)
    assert await kept(vault) == RECORD
    assert not vault.is_empty()
    assert "secret-a" not in texts(logins)
    async with vault.locked():
        await vault.forget()
    assert keyring.entries == {}


async def test_a_keyring_with_nothing_behind_it_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, works=False)
    assert await kept(Vault(URL)) == RECORD


async def test_a_keyring_that_is_gone_means_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = install(monkeypatch, works=True)
    await kept(Vault(URL))
    keyring.works = False
    assert await Vault(URL).read() == Record()
