"""A disk that is full: what can't be stored is said, nothing is damaged, and all goes on once there is room."""

import errno
import resource
import signal
import sqlite3
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import NoteAdded
from agent_mcp.sessions.start import StartRequest
from agent_mcp.store import connect
from agent_mcp.store.faults import store_error
from agent_mcp.store.open import open_store
from agent_mcp.store.soundness import check_whole
from tests.contracts.store_contract import session
from tests.support.processes import run_process
from tests.support.world import FunctionTools, calls, open_world, says

pytestmark = pytest.mark.anyio

BIG = NoteAdded("x" * 100_000)


class SmallDisk:
    """Lets the databases of this process grow to so many pages and no further."""

    def __init__(self) -> None:
        self._connections: list[sqlite3.Connection] = []

    def connect(self, *args: object, **kwargs: object) -> sqlite3.Connection:
        connection = sqlite3.Connection(*args, **kwargs)  # pyright: ignore[reportArgumentType]  # as it was called
        self._connections.append(connection)
        return connection

    def limit(self, pages: int) -> None:
        """For all that are open; while nobody writes."""
        for connection in self._connections:
            try:
                connection.execute(f"PRAGMA max_page_count={pages}").fetchall()
            except sqlite3.ProgrammingError:
                continue  # closed by now


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Generator[SmallDisk]:
    """One that is not full yet."""
    small = SmallDisk()
    monkeypatch.setattr(connect.sqlite3, "connect", small.connect)
    yield small


async def test_a_full_disk_is_said_and_the_log_goes_on_when_there_is_room(
    path: Path, disk: SmallDisk
) -> None:
    async with open_store(f"sqlite:///{path}") as store:
        await store.create(session("s1"), message="hello")
        disk.limit(40)
        stored = 0
        with pytest.raises(StoreError, match=r"sessions\.db") as caught:
            for _ in range(20):
                await store.append("s1", 1, [BIG])
                stored += 1
        assert "disk is full" in caught.value.hint
        assert len(await store.read("s1")) == 1 + stored
        with pytest.raises(StoreError):
            await store.append("s1", 1, [BIG])
        disk.limit(100_000)
        (event,) = await store.append("s1", 1, [BIG])
        assert event.seq == stored + 2
    check_whole(path)


async def test_a_write_that_does_not_fit_takes_no_other_along(path: Path, disk: SmallDisk) -> None:
    failed: list[str] = []

    async def append(event: NoteAdded) -> None:
        try:
            await store.append("s1", 1, [event])
        except StoreError as error:
            failed.append(error.hint)

    async with open_store(f"sqlite:///{path}") as store:
        await store.create(session("s1"), message="hello")
        disk.limit(60)
        async with anyio.create_task_group() as group:
            for event in (NoteAdded("small 1"), NoteAdded("x" * 1_000_000), NoteAdded("small 2")):
                group.start_soon(append, event)
        texts = [event.data.text for event in await store.read("s1") if isinstance(event.data, NoteAdded)]
    assert texts == ["small 1", "small 2"]
    assert len(failed) == 1
    check_whole(path)


def test_a_full_disk_is_said_where_it_is_not_the_database_that_meets_it(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert store_error(tmp_path / "s.db", full).hint == "the disk is full: free some space"


def test_a_file_that_may_not_grow_is_said_by_a_process_that_goes_on(path: Path) -> None:
    assert run_process(fill_to_the_limit, path) == 0
    check_whole(path)


def fill_to_the_limit(path: Path) -> None:
    """In a process of its own: exit status 0 if it met the limit, told of it, and went on above it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    async def main() -> None:
        async with open_store(f"sqlite:///{path}") as store:
            await store.create(session("s1"), message="hello")
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
            stored = 0
            with pytest.raises(StoreError, match=r"sessions\.db") as caught:
                for _ in range(20):
                    await store.append("s1", 1, [BIG])
                    stored += 1
            assert "disk" in caught.value.hint
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            for _ in range(20):
                await store.append("s1", 1, [BIG])
            assert len(await store.read("s1")) == 21 + stored

    anyio.run(main)


async def test_a_turn_waits_for_room_and_then_goes_on(tmp_path: Path, disk: SmallDisk) -> None:
    async def look(_: dict[str, object]) -> str:
        return "x" * 300_000

    tools = FunctionTools({"look": look}, {"look": {"read_only": True}})
    with anyio.fail_after(20):
        async with open_world(tmp_path, calls(("t__look", {})), says("Seen."), tools=tools) as world:
            await world.service.start(StartRequest(), session_id="s1", wait_seconds=0)
            disk.limit(75)
            for message in ("go", None, None, None, None):  # each has the turn tried again
                running = await world.service.send("s1", message, wait_seconds=0.3)
                assert (running.status, running.stop_reason) == ("running", None)
            disk.limit(100_000)
            ended = await world.service.send("s1", None, wait_seconds=10)
            requests = len(world.model.requests)
    assert (ended.text, ended.stop_reason) == ("Seen.", "end_turn")
    assert requests == 2, "what is in the log was not asked for again"
