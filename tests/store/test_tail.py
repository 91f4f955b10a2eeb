"""Followers, apart from any database: what they read, and when."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import Event, NoteAdded
from agent_mcp.store import tail as tail_module
from agent_mcp.store.tail import Tail, Tails

pytestmark = pytest.mark.anyio


class Database:
    """A log of one session, and how often it was read."""

    def __init__(self) -> None:
        self.log: list[Event] = []
        self.reads: list[int] = []
        self.broken = False
        self.reading = anyio.Event()
        self.may_answer = anyio.Event()
        self.may_answer.set()

    def add(self, count: int) -> Sequence[Event]:
        """More events, as some process stores them."""
        first = len(self.log) + 1
        new = [Event(seq, 1, 0.0, NoteAdded(str(seq))) for seq in range(first, first + count)]
        self.log += new
        return new

    async def read(self, session_id: str, after: int) -> Sequence[Event]:
        """As the reader does."""
        self._check()
        self.reads.append(after)
        self.reading.set()
        await self.may_answer.wait()
        return self.log[after:]

    def data_version(self) -> int:
        """As SQLite's."""
        self._check()
        return len(self.log)

    def head(self, session_id: str) -> int:
        """The newest number."""
        return len(self.log)

    def _check(self) -> None:
        if self.broken:
            raise StoreError("the disk is gone")


async def seqs(tail: Tail) -> list[int]:
    """The numbers of the next batch."""
    with anyio.fail_after(5):
        return [event.seq for event in await anext(tail)]


async def test_what_is_offered_is_not_read_again() -> None:
    database = Database()
    database.add(2)
    tail = Tail("s1", 0, database.read)
    assert await seqs(tail) == [1, 2]
    tail.offer(database.add(1))
    tail.offer(database.add(2))
    assert await seqs(tail) == [3, 4, 5]
    assert database.reads == [0]


async def test_a_gap_is_filled_by_reading() -> None:
    database = Database()
    tail = Tail("s1", 0, database.read)
    database.add(3)
    assert await seqs(tail) == [1, 2, 3]
    database.add(1)  # by another process
    tail.offer(database.add(1))
    assert await seqs(tail) == [4, 5]
    assert database.reads == [0, 3]


async def test_what_was_read_already_is_not_given_twice() -> None:
    database = Database()
    tail = Tail("s1", 0, database.read)
    new = database.add(2)
    assert await seqs(tail) == [1, 2]
    tail.offer(new)
    tail.offer(database.add(1))
    assert await seqs(tail) == [3]


async def test_a_backlog_that_grows_too_long_is_read_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "MAX_BACKLOG_EVENTS", 10)
    database = Database()
    database.add(1)
    tail = Tail("s1", 0, database.read)
    assert await seqs(tail) == [1]
    for _ in range(4):
        tail.offer(database.add(4))
    assert await seqs(tail) == list(range(2, 18))
    assert database.reads == [0, 1]


async def test_a_follower_cancelled_while_it_reads_gets_all_of_it_next_time() -> None:
    database = Database()
    database.may_answer = anyio.Event()
    tail = Tail("s1", 0, database.read)
    tail.offer(database.add(3))
    async with anyio.create_task_group() as group:
        group.start_soon(seqs, tail)
        await database.reading.wait()
        group.cancel_scope.cancel()
    database.may_answer.set()
    assert await seqs(tail) == [1, 2, 3]


async def test_a_read_that_fails_is_tried_again() -> None:
    database = Database()
    database.add(1)
    tail = Tail("s1", 0, database.read)
    database.broken = True
    with pytest.raises(StoreError):
        await seqs(tail)
    database.broken = False
    assert await seqs(tail) == [1]


async def test_commits_of_others_are_found_by_the_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "POLL_SECONDS", 0.01)
    database = Database()
    tails = Tails(database, database.read)
    async with tails.follow("s1", 0) as one, tails.follow("s1", 0) as other:
        database.add(1)
        assert await seqs(one) == await seqs(other) == [1]
        async with anyio.create_task_group() as group:
            group.start_soon(seqs, one)
            await anyio.lowlevel.checkpoint()
            database.add(1)
        assert await seqs(other) == [2]


async def test_a_poll_that_fails_tells_the_followers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "POLL_SECONDS", 0.01)
    database = Database()
    tails = Tails(database, database.read)
    async with tails.follow("s1", 0) as tail:
        database.add(1)
        assert await seqs(tail) == [1]
        database.broken = True
        with pytest.raises(StoreError, match="disk is gone"):
            await seqs(tail)
