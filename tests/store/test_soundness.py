"""Files that cannot be used: each is refused with its name and a way out, and left as it was, to the byte."""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import NoteAdded
from agent_mcp.store.open import open_store
from agent_mcp.store.soundness import check_whole
from tests.contracts.store_contract import session
from tests.support.processes import run_process

pytestmark = pytest.mark.anyio

PAGE = 4096


async def make_store(path: Path) -> None:
    """A store with something in every part of it."""
    async with open_store(f"sqlite:///{path}") as store:
        for number in range(20):
            await store.create(session(f"s{number}"), message="hello")
            await store.append(f"s{number}", 1, [NoteAdded("x" * 3000)] * 5)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 100)


def empty_header(path: Path) -> None:
    overwrite(path, 0, b"garbage " * 12)


def text_file(path: Path) -> None:
    path.write_text("these are my notes\n" * 1000)


def page_of_the_schema(path: Path) -> None:
    overwrite(path, 100, b"\xff" * (PAGE - 100))


def roots_of_the_tables(path: Path) -> None:
    for page in range(2, 6):
        overwrite(path, (page - 1) * PAGE, os.urandom(PAGE))


def last_page(path: Path) -> None:
    """The newest events."""
    overwrite(path, path.stat().st_size - PAGE, b"\xff" * PAGE)


def newer_version(path: Path) -> None:
    execute(path, "UPDATE meta SET schema_version = 99")


def no_version(path: Path) -> None:
    execute(path, "DELETE FROM meta")


def another_program(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE cookies (name TEXT)")


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Bytes of the file itself."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def execute(path: Path, sql: str) -> None:
    """One statement, by a connection of its own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)


def contents(path: Path) -> dict[str, bytes]:
    """All files of the store but its locks and what its processes share in memory."""
    files = [file for file in path.parent.iterdir() if file.is_file() and not file.name.endswith("-shm")]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("damage", "way_out"),
    [
        (truncate, "damaged"),
        (empty_header, "no session store"),
        (text_file, "no session store"),
        (page_of_the_schema, "damaged"),
        (roots_of_the_tables, "damaged"),
        (no_version, "damaged"),
        (newer_version, "update agent-mcp"),
        (another_program, "another path"),
    ],
)
async def test_a_file_that_is_refused_is_left_as_it_was(
    path: Path, damage: Callable[[Path], None], way_out: str
) -> None:
    await make_store(path)
    damage(path)
    before = contents(path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"sessions\.db") as caught:
            async with open_store(f"sqlite:///{path}"):
                pass
        assert way_out in caught.value.hint
        assert contents(path) == before


async def test_damage_further_in_stops_its_session_and_no_other(path: Path) -> None:
    await make_store(path)
    last_page(path)
    async with open_store(f"sqlite:///{path}") as store:
        assert len(await store.read("s0")) == 6
        with pytest.raises(StoreError, match=r"sessions\.db") as caught:
            await store.read("s19")
        assert "damaged" in caught.value.hint
    with pytest.raises(StoreError) as caught:
        check_whole(path)
    assert "damaged" in caught.value.hint


async def test_a_sound_store_is_sound(path: Path) -> None:
    await make_store(path)
    check_whole(path)


async def test_what_a_killed_process_left_is_taken_in(path: Path) -> None:
    await make_store(path)
    assert run_process(append_and_die, path) == -9
    assert path.with_name("sessions.db-wal").stat().st_size > 0
    async with open_store(f"sqlite:///{path}") as store:
        assert (await store.read("s3"))[-1].data == NoteAdded("the last words")


def append_and_die(path: Path) -> None:
    """In a process of its own."""

    async def main() -> None:
        async with open_store(f"sqlite:///{path}") as store:
            await store.append("s3", 1, [NoteAdded("the last words")])
            os.kill(os.getpid(), 9)

    anyio.run(main)


@pytest.fixture
def shared_folder() -> Generator[Path]:
    """A folder that any user may enter, since root may write where nobody else may."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        folder.mkdir()
        Path(name).chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_what_is_read_only_is_refused_at_the_start(shared_folder: Path, what: str) -> None:
    path = shared_folder / "sessions.db"
    await make_store(path)
    before = contents(path)["sessions.db"]
    protect(path if what == "file" else shared_folder, everything=shared_folder)
    assert run_process(open_as_a_common_user, path) == 0
    assert contents(path)["sessions.db"] == before


def protect(entry: Path, *, everything: Path) -> None:
    """Nobody may write to it. All belongs to a user without powers, where root runs the tests."""
    for each in (everything, *everything.rglob("*")):
        if os.geteuid() == 0:
            os.chown(each, NOBODY, NOBODY)
    entry.chmod(0o444 if entry.is_file() else 0o555)
    if entry.is_dir():
        (entry / "sessions.db.owners").chmod(0o555)


NOBODY = 65534


def open_as_a_common_user(path: Path) -> None:
    """In a process of its own: exit status 0 if the store is refused as it should be."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    async def main() -> None:
        with pytest.raises(StoreError, match=r"sessions\.db") as caught:
            async with open_store(f"sqlite:///{path}"):
                pass
        assert "writable" in caught.value.hint or "permissions" in caught.value.hint, caught.value.hint

    anyio.run(main)
