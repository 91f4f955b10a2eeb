"""Many sessions in one store, and one session of many steps: what each costs beside a small one.

In this process, with the log on disk. The column "bare" is the small store or session: ours beside itself.
"""

import random
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from agent_mcp.agent.messages import Reply, Text, ToolCall, Usage, new_call_id
from agent_mcp.sessions.events import (
    EventData,
    ModelReplied,
    ToolFinished,
    ToolStarted,
    TurnDelivered,
    TurnEnded,
)
from agent_mcp.sessions.excerpt import read_page as read_excerpt
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.paging import PageRequest, read_page
from agent_mcp.sessions.ports import NewSession, SessionStore
from agent_mcp.sessions.profile import Profile
from agent_mcp.store.open import open_store
from benchmarks.programs import Bench
from benchmarks.table import Row, Target

FEW, MANY = 1_000, 100_000
"""Sessions."""
SHORT, LONG = 100, 10_000
"""Steps."""
_TIMES_A_ROUND = 10
_RATIO = Target("ratio at most", 1.5)
_TEMPLATE = "template"

# The template's rows again under other ids, a second apart; every tenth session is of another agent.
_COPY = """
WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)
INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, numbers WHERE {key} = 'template'
"""
_ID = "printf('s-%06d', i)"
_VALUES: dict[str, str] = {
    "id": _ID,
    "session": _ID,
    "updated": "updated - i",
    "title": "'Question ' || i",
    "sought": f"{_ID} || char(10) || char(10) || 'question ' || i",
}


async def measure_scale(bench: Bench, rounds: int) -> Sequence[Row]:
    """Rows of the store, then of the long session."""
    few, many = bench.directory / "few.db", bench.directory / "many.db"
    for path, sessions in ((few, FEW), (many, MANY)):
        await fill(path, sessions)
    return [*await _measure_store(few, many, rounds), *await _measure_session(bench.directory, rounds)]


async def fill(path: Path, sessions: int) -> None:
    """A store of so many idle sessions with one turn of two steps each."""
    async with open_store(f"sqlite:///{path}") as store:
        await _make_session(store, _TEMPLATE, steps=2)
    await anyio.to_thread.run_sync(_multiply, path, sessions)


def _multiply(path: Path, sessions: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for table, key in (("sessions", "id"), ("turns", "session"), ("events", "session")):
            columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(_VALUES.get(name, name) for name in columns)
            sql = _COPY.format(table=table, columns=", ".join(columns), values=values, key=key)
            connection.execute(sql, {"count": sessions})
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@dataclass(frozen=True, slots=True)
class _Opened:
    store: SessionStore
    logs: SessionLogs
    sessions: int

    def any_session(self) -> str:
        return f"s-{random.randint(1, self.sessions):06d}"


async def _open_session(opened: _Opened) -> None:
    await SessionLogs(opened.store).state(opened.any_session())


async def _follow_up(opened: _Opened) -> None:
    """A message and its whole turn, without the model."""
    session_id, store = opened.any_session(), opened.store
    await _turn(store, opened.logs, session_id)


async def _start(opened: _Opened) -> None:
    await opened.store.create(NewSession(f"n-{new_call_id()}", Profile()), message="hello")


def _list(*, status: str | None = None, query: str = "") -> Callable[[_Opened], Awaitable[None]]:
    async def read(opened: _Opened) -> None:
        asked = PageRequest("", status=status, query=query, limit=20, cursor=None)
        await read_page(opened.store, opened.logs, asked)

    return read


async def _sweep(opened: _Opened) -> None:
    await opened.store.unfinished()


_STORE_ROWS: dict[str, tuple[Callable[[_Opened], Awaitable[None]], Target]] = {
    "open a session": (_open_session, _RATIO),
    "follow-up without the model": (_follow_up, _RATIO),
    "start a session": (_start, _RATIO),
    "sweep for turns": (_sweep, _RATIO),
    "list_sessions": (_list(), _RATIO),
    "list_sessions, status idle": (_list(status="idle"), _RATIO),
    "list_sessions, status needs_approval (none)": (_list(status="needs_approval"), _RATIO),
    "list_sessions, status closed (none)": (_list(status="closed"), _RATIO),
    "list_sessions, query in many": (_list(query="question 1"), _RATIO),
    "list_sessions, query in one session": (_list(query="s-000003"), Target()),
    "list_sessions, query in none": (_list(query="no such words"), Target()),
}


async def _measure_store(few: Path, many: Path, rounds: int) -> list[Row]:
    opening = Row(f"open a store of {MANY:,} / {FEW:,}", "ms", _RATIO)
    rows = [Row(f"{name}, {MANY:,} / {FEW:,}", "ms", target) for name, (_, target) in _STORE_ROWS.items()]
    for _ in range(rounds * _TIMES_A_ROUND):
        opening.bare.append(await _timed(_open, few))
        opening.ours.append(await _timed(_open, many))
    async with open_store(f"sqlite:///{few}") as small, open_store(f"sqlite:///{many}") as large:
        sides = _Opened(small, SessionLogs(small), FEW), _Opened(large, SessionLogs(large), MANY)
        for row, (work, _) in zip(rows, _STORE_ROWS.values(), strict=True):
            await _in_turns(row, rounds, lambda side, work=work: work(sides[side]))
    return [opening, *rows]


async def _in_turns(row: Row, rounds: int, work: Callable[[int], Awaitable[object]]) -> None:
    """Measure the small one (side 0) and the large one in turns, after one round that does not count."""
    for number in range(rounds * _TIMES_A_ROUND + 1):
        small, large = await _timed(work, 0), await _timed(work, 1)
        if number:
            row.bare.append(small)
            row.ours.append(large)


async def _open(path: Path) -> None:
    async with open_store(f"sqlite:///{path}") as store:
        await store.unfinished()


async def _measure_session(directory: Path, rounds: int) -> list[Row]:
    follow = Row(f"follow-up in a session of {LONG:,} / {SHORT:,} steps", "ms", _RATIO)
    page = Row(f"a page of its transcript, {LONG:,} / {SHORT:,} steps", "ms", _RATIO)
    first = Row(f"the first look at it, {LONG:,} / {SHORT:,} steps", "ms")
    async with _long_sessions(directory / "long.db") as store:
        for _ in range(rounds):
            logs = SessionLogs(store)
            first.bare.append(await _timed(logs.state, f"long-{SHORT}"))
            first.ours.append(await _timed(logs.state, f"long-{LONG}"))
        logs = SessionLogs(store)
        states = [await logs.state(f"long-{steps}") for steps in (SHORT, LONG)]
        await _in_turns(follow, rounds, lambda side: _turn(store, logs, states[side].id))
        await _in_turns(page, rounds, lambda side: _read_a_page(states[side]))
    return [follow, page, first]


async def _read_a_page(state: SessionState) -> None:
    read_excerpt(state, "full", offset=len(state.steps), limit=50, characters=20_000)


@asynccontextmanager
async def _long_sessions(path: Path) -> AsyncGenerator[SessionStore]:
    async with open_store(f"sqlite:///{path}") as store:
        for steps in (SHORT, LONG):
            await _make_session(store, f"long-{steps}", steps=steps)
        yield store


async def _timed(work: Callable[..., Awaitable[object]], *arguments: object) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    await work(*arguments)
    return (time.perf_counter() - started) * 1000


async def _turn(store: SessionStore, logs: SessionLogs, session_id: str) -> None:
    submitted = await store.submit(session_id, f"again {time.perf_counter()}")
    claim = await store.claim(session_id, submitted.turn)
    assert claim is not None
    state = await logs.state(session_id)
    reply = _replied(len(state.steps), (Text("Done."),), read=state.seq)
    await logs.absorb(state, await store.append(session_id, claim.turn, [reply], epoch=claim.epoch))
    await store.end_turn(claim, [TurnEnded("end_turn")], unread_after=state.read_to)
    await store.append(session_id, claim.turn, [TurnDelivered()])
    await logs.refresh(state)
    state.readable()


async def _make_session(store: SessionStore, session_id: str, *, steps: int) -> None:
    await store.create(NewSession(session_id, Profile()), message="Question")
    claim = await store.claim(session_id, 1)
    assert claim is not None
    for step in range(steps):
        await store.append(session_id, 1, _events_of(step), epoch=claim.epoch)
    await store.end_turn(claim, [TurnEnded("max_steps")], unread_after=None)
    await store.append(session_id, 1, [TurnDelivered()])


def _events_of(step: int) -> list[EventData]:
    calls = tuple(ToolCall(new_call_id(), "echo__echo", {"value": str(n)}, f"p{n}") for n in range(3))
    started = [ToolStarted(call.id, rerun=True) for call in calls]
    finished = [ToolFinished(call.id, (Text("echoed: " + "x" * 150),)) for call in calls]
    return [_replied(step, calls, read=1), *started, *finished]


def _replied(step: int, parts: tuple[Text | ToolCall, ...], *, read: int) -> ModelReplied:
    reply = Reply(parts, "tool_use" if len(parts) > 1 else "end_turn", Usage(10, 5))
    return ModelReplied(step, reply.parts, reply.stop, reply.usage, read, wire="anthropic", model="bench")
