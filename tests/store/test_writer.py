"""The writer thread: batches, failures inside them, the end."""

import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import anyio
import anyio.lowlevel
import pytest

from agent_mcp.errors import AgentMcpError, FencedError, StoreError
from agent_mcp.sessions.events import Event, NoteAdded
from agent_mcp.sessions.ports import NewSession
from agent_mcp.sessions.profile import Profile
from agent_mcp.store import connect, queries, transactions
from agent_mcp.store.codec import encode
from agent_mcp.store.transactions import Transaction
from agent_mcp.store.writer import Operation, Writer
from tests.store.conftest import make_database

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def open_writer(
    path: Path, stored: list[tuple[str, Sequence[Event]]] | None = None, *, max_pages: int | None = None
) -> AsyncGenerator[Writer]:
    """A writer with a session `s1`; `stored` hears of what is committed after that."""
    make_database(path)
    connection = connect.connect_writer(path)
    if max_pages is not None:
        connection.execute(f"PRAGMA max_page_count={max_pages}")
    connection.execute("PRAGMA foreign_keys=ON")
    heard = [] if stored is None else stored
    writer = Writer(
        connection,
        path=path,
        now=time.time,
        on_stored=lambda session, events: heard.append((session, events)),
    )
    try:
        await writer.write(
            partial(transactions.create, session=NewSession("s1", Profile()), message=None, past=())
        )
        yield writer
    finally:
        await writer.aclose()


def note(text: str, *, epoch: int | None = None) -> Operation[Sequence[Event]]:
    """An append of one note."""
    return partial(
        transactions.append, session_id="s1", turn=1, events=[encode(NoteAdded(text))], epoch=epoch
    )


def break_halfway(tx: Transaction) -> NoReturn:
    """Writes, then fails."""
    transactions.append(tx, "s1", 1, [encode(NoteAdded("half"))], epoch=None)
    raise sqlite3.IntegrityError("made up")


def give_up_halfway(tx: Transaction) -> NoReturn:
    """Writes, then fails for a reason of its own."""
    transactions.append(tx, "s1", 1, [encode(NoteAdded("half"))], epoch=None)
    raise ValueError("made up")


def fail_first(tx: Transaction) -> NoReturn:
    """Fails before it writes anything."""
    raise FencedError("made up")


async def outcome(writer: Writer, operation: Operation[Sequence[Event]], into: list[object]) -> None:
    """Runs one operation and notes its result or its error."""
    try:
        into.append((await writer.write(operation))[0].seq)
    except (AgentMcpError, ValueError) as error:
        into.append(type(error))


def texts(path: Path) -> list[str]:
    """What is in the log, by another connection."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT json_extract(data, '$.text') FROM events ORDER BY seq").fetchall()
    connection.close()
    return [text for (text,) in rows]


@pytest.mark.parametrize(
    ("bad", "error"), [(fail_first, FencedError), (break_halfway, StoreError), (give_up_halfway, ValueError)]
)
async def test_one_failing_write_does_not_harm_its_batch(
    path: Path, bad: Operation[Sequence[Event]], error: type[Exception]
) -> None:
    results: list[object] = []
    stored: list[tuple[str, Sequence[Event]]] = []
    async with open_writer(path, stored) as writer, anyio.create_task_group() as group:
        for operation in (note("a"), bad, note("b")):
            group.start_soon(outcome, writer, operation, results)
    assert results == [1, error, 2]
    assert texts(path) == ["a", "b"]
    assert [event.seq for _, events in stored for event in events] == [1, 2]


async def test_writes_of_one_round_share_one_commit(path: Path) -> None:
    results: list[object] = []
    async with open_writer(path) as writer:
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(outcome, writer, note(str(number)), results)
        times = await writer.write(times_of_events)
    assert results == list(range(1, 51))
    assert len(times) == 1


def times_of_events(tx: Transaction) -> set[float]:
    """One for each transaction that wrote."""
    return {at for (at,) in tx.connection.execute("SELECT at FROM events").fetchall()}


async def test_a_full_disk_is_named_and_what_still_fits_goes_on(path: Path) -> None:
    async with open_writer(path, max_pages=40) as writer:
        results: list[object] = []
        async with anyio.create_task_group() as group:
            group.start_soon(outcome, writer, note("a"), results)
            group.start_soon(outcome, writer, note("x" * 1_000_000), results)
            group.start_soon(outcome, writer, note("b"), results)
        assert results == [1, StoreError, 2]
        with pytest.raises(StoreError, match=r"sessions\.db.*full") as caught:
            await writer.write(note("x" * 1_000_000))
        assert "free some space" in caught.value.hint
    assert texts(path) == ["a", "b"]


async def test_a_failed_commit_fails_the_whole_batch(path: Path) -> None:
    results: list[object] = []
    async with open_writer(path) as writer:
        await writer.write(make_deferred_constraint)
        async with anyio.create_task_group() as group:
            group.start_soon(outcome, writer, note("a"), results)
            group.start_soon(outcome, writer, violate_at_commit, results)
        assert results == [StoreError, StoreError]
        assert (await writer.write(note("after")))[0].seq == 1
    assert texts(path) == ["after"]


def make_deferred_constraint(tx: Transaction) -> None:
    """From here on `violate_at_commit` does what its name says."""
    tx.run("CREATE TABLE parent (id INTEGER PRIMARY KEY)", ())
    tx.run("CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)", ())


def violate_at_commit(tx: Transaction) -> Sequence[Event]:
    """A write that goes well until its transaction ends."""
    tx.run("INSERT INTO child VALUES (1)", ())
    return transactions.append(tx, "s1", 1, [encode(NoteAdded("b"))], epoch=None)


async def test_a_store_that_is_locked_too_long_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "BUSY_SECONDS", 0.05)
    async with open_writer(path) as writer:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"sessions\.db.*locked") as caught:
            await writer.write(note("a"))
        assert "another process" in caught.value.hint
        other.execute("ROLLBACK")
        other.close()
        assert (await writer.write(note("b")))[0].seq == 1


async def test_what_was_asked_before_the_end_is_written(path: Path) -> None:
    results: list[object] = []
    async with open_writer(path) as writer, anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(outcome, writer, note(str(number)), results)
        await anyio.lowlevel.checkpoint()
        with anyio.fail_after(0.2):
            await writer.aclose()
    assert results == list(range(1, 21))
    assert len(texts(path)) == 20


async def test_a_closed_writer_takes_nothing(path: Path) -> None:
    async with open_writer(path) as writer:
        await writer.aclose()
        with pytest.raises(StoreError, match="closed"):
            await writer.write(note("late"))
    assert texts(path) == []


async def test_a_cancelled_caller_does_not_stop_the_write(path: Path) -> None:
    results: list[object] = []
    async with open_writer(path) as writer:
        async with anyio.create_task_group() as group:
            group.start_soon(outcome, writer, note("a"), results)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert (await writer.write(note("b")))[0].seq == 2
    assert texts(path) == ["a", "b"]


async def test_only_a_commit_that_must_be_on_the_disk_waits_for_it(path: Path) -> None:
    async with open_writer(path) as writer:
        normal, full = 1, 2
        assert await writer.write(flush_level, flush=False) == normal
        assert await writer.write(flush_level) == full


async def test_a_batch_waits_for_the_disk_if_one_of_its_writes_must(path: Path) -> None:
    async with open_writer(path) as writer:
        quick, slow = writer.write(flush_level, flush=False), writer.write(flush_level)
        assert await quick == await slow


def flush_level(tx: Transaction) -> int:
    """https://www.sqlite.org/pragma.html#pragma_synchronous"""
    return tx.connection.execute("PRAGMA synchronous").fetchone()[0]


async def test_what_was_not_flushed_is_so_soon_after(path: Path) -> None:
    statements: list[str] = []
    async with open_writer(path) as writer:
        await writer.write(lambda tx: tx.connection.set_trace_callback(statements.append), flush=False)
        with anyio.fail_after(5):
            while statements[-1:] != ["COMMIT"] or queries.FLUSHED not in statements:
                await anyio.sleep(0.01)
        await writer.write(note("after"), flush=False)
    assert statements.count(queries.FLUSHED) == 2  # the second at the end


async def test_a_late_flush_that_fails_is_logged_and_the_writer_lives_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_writer(path) as writer:
        await writer.write(lambda tx: tx.run("DROP TABLE meta", ()), flush=False)
        with anyio.fail_after(5):
            while "no such table: meta" not in caplog.text:
                await anyio.sleep(0.01)
        assert (await writer.write(note("a")))[0].seq == 1
