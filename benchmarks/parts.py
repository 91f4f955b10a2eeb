"""Parts of ours by themselves, in this process: the log under many writers, and our own share of a follow-up."""

import json
import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from agent_mcp.agent.messages import Reply, Text, ToolCall, Usage, new_call_id
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.models.anthropic import make_model
from agent_mcp.models.target import Target as ModelTarget
from agent_mcp.sessions.events import (
    ApprovalGiven,
    EventData,
    ModelReplied,
    ToolFinished,
    ToolStarted,
    TurnEnded,
)
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.ports import NewSession, SessionStore
from agent_mcp.sessions.profile import Profile
from agent_mcp.store.open import open_store
from benchmarks.programs import Bench
from benchmarks.table import Row, Target

_WRITERS = 100
_EVENTS_EACH = 100
_STEPS, _CALLS = 100, 8
_TEXT = "echoed: " + "x" * 150
_SCHEMA = """
CREATE TABLE events (session TEXT, seq INTEGER, turn INTEGER, kind TEXT, data TEXT, at REAL,
    PRIMARY KEY (session, seq)) WITHOUT ROWID
"""


async def measure_log(bench: Bench, rounds: int) -> Sequence[Row]:
    """Appends of a hundred writers, against sqlite3 with the same pragmas in transactions of as many inserts."""
    row = Row("log appends, 100 writers", "1/s", Target("ratio at least", 0.4))
    for number in range(rounds):
        row.ours.append(await _appends_per_second(bench.directory / f"log-{number}.db"))
        row.bare.append(
            await anyio.to_thread.run_sync(_inserts_per_second, bench.directory / f"bare-{number}.db")
        )
    return [row]


async def _appends_per_second(path: Path) -> float:
    async with open_store(f"sqlite:///{path}") as store:
        for writer in range(_WRITERS):
            await store.create(NewSession(f"s{writer}", _profile()))

        async def write(session_id: str) -> None:
            for _ in range(_EVENTS_EACH):
                await store.append(session_id, 1, [ApprovalGiven("call_1", "allow", _TEXT)])

        started = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for writer in range(_WRITERS):
                tasks.start_soon(write, f"s{writer}")
        return _WRITERS * _EVENTS_EACH / (time.perf_counter() - started)


def _inserts_per_second(path: Path) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(_SCHEMA)
    data = json.dumps({"call_id": "call_1", "decision": "allow", "reason": _TEXT})
    insert = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"
    started = time.perf_counter()
    for number in range(_EVENTS_EACH):
        connection.execute("BEGIN IMMEDIATE")
        for writer in range(_WRITERS):
            connection.execute(insert, (f"s{writer}", number, 1, "approval_given", data, time.time()))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    connection.close()
    return _WRITERS * _EVENTS_EACH / seconds


async def measure_share(bench: Bench, rounds: int) -> Sequence[Row]:
    """Our own share of a follow-up after 800 results: fold, render, append; and of the first one after a restart."""
    warm = Row("own share of the follow-up", "ms", Target("at most", 5))
    cold = Row("own share after a restart", "ms")
    async with _long_session(bench.directory / "share.db") as store:
        for _ in range(rounds):
            follow_up = _FollowUp(store)
            cold.ours.append(await follow_up.run() * 1000)
            warm.ours += [await follow_up.run() * 1000 for _ in range(3)]
    return [warm, cold]


class _Sent(Exception):
    """The request is ready to be sent."""


class _NoClient:
    """Takes the place of the SDK: rendering ends here."""

    async def send(self, body: bytes, target: ModelTarget) -> Any:
        raise _Sent


class _FollowUp:
    """A turn without a model: everything that is ours between the message and the end."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._logs = SessionLogs(store)
        self._model = make_model(_NoClient(), ModelTarget("anthropic", "bench", ""))  # pyright: ignore[reportArgumentType]

    async def run(self) -> float:
        """Seconds that it took."""
        started = time.perf_counter()
        submitted = await self._store.submit("long", f"again {started}")
        claim = await self._store.claim("long", submitted.turn)
        assert claim is not None
        state = await self._logs.state("long")
        await self._render(state)
        reply = _replied(len(state.steps), (Text("Done."),), read=state.seq)
        await self._logs.absorb(
            state, await self._store.append("long", claim.turn, [reply], epoch=claim.epoch)
        )
        await self._store.end_turn(claim, [TurnEnded("end_turn")], unread_after=state.read_to)
        await self._logs.refresh(state)
        return time.perf_counter() - started

    async def _render(self, state: SessionState) -> None:
        try:
            await self._model.reply(ModelRequest("", (), state.readable()), lambda _: None)
        except _Sent:
            return


@asynccontextmanager
async def _long_session(path: Path) -> AsyncGenerator[SessionStore]:
    async with open_store(f"sqlite:///{path}") as store:
        await store.create(NewSession("long", _profile()), message="begin")
        claim = await store.claim("long", 1)
        assert claim is not None
        for step in range(_STEPS):
            calls = tuple(
                ToolCall(new_call_id(), "echo__echo", {"value": str(n)}, f"p{n}") for n in range(_CALLS)
            )
            await store.append("long", 1, _events_of(step, calls), epoch=claim.epoch)
        await store.end_turn(claim, [TurnEnded("max_steps")], unread_after=None)
        yield store


def _events_of(step: int, calls: tuple[ToolCall, ...]) -> list[EventData]:
    started = [ToolStarted(call.id, rerun=False) for call in calls]
    finished = [ToolFinished(call.id, (Text(_TEXT),)) for call in calls]
    return [_replied(step, calls, read=1), *started, *finished]


def _replied(step: int, parts: tuple[Text | ToolCall, ...], *, read: int) -> ModelReplied:
    reply = Reply(parts, "tool_use" if len(parts) > 1 else "end_turn", Usage(10, 5))
    return ModelReplied(step, reply.parts, reply.stop, reply.usage, read, wire="anthropic", model="bench")


def _profile() -> Profile:
    return Profile(agent="default", model="anthropic:bench")
