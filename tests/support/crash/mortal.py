"""`MortalStore`: a store whose process is killed at a chosen write. Knows no database: it stands on the port."""

import json
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import anyio

from agent_mcp.sessions.events import EventData
from agent_mcp.sessions.ports import SessionStore

_WRITES = {
    "create": "message",
    "submit": "message",
    "append": "",
    "claim": "claim",
    "end_turn": "",
    "seize": "",
}
"""The writes of the port, and what they write where their events do not say it."""


_EVENTS_AT = {"append": 2, "end_turn": 1, "seize": 2}
"""The place of the events among the arguments."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a process dies: before its write number `write` (from 1) is begun, or after it is stored but not told."""

    write: int
    moment: Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Boundary:
    """What was being written there."""

    moment: str
    what: str
    """A kind of event, or `message`, `claim`."""
    call_id: str = ""


class MortalStore:
    """Hands on everything, one write at a time, and ends its process by SIGKILL at one of them."""

    def __init__(self, store: SessionStore, point: Point | None, note: Path) -> None:
        """`note` is where the boundary is written down just before the end."""
        self._store = store
        self._point = point
        self._note = note
        self._writes = 0
        # In one commit with its neighbours a write would have no boundary of its own.
        self._one_at_a_time = anyio.Lock()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        return partial(self._write, name, attribute) if name in _WRITES else attribute

    async def _write(self, name: str, write: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        async with self._one_at_a_time:
            self._writes += 1
            self._die_at("before", name, args)
            result = await write(*args, **kwargs)
            self._die_at("after", name, args)
            return result

    def _die_at(self, moment: Literal["before", "after"], name: str, args: Sequence[Any]) -> None:
        if self._point != Point(self._writes, moment):
            return
        boundary = _boundary(moment, name, args)
        self._note.write_text(
            json.dumps([boundary.moment, boundary.what, boundary.call_id]), encoding="utf-8"
        )
        os.kill(os.getpid(), signal.SIGKILL)


def mortal(point: Point | None, note: Path) -> Callable[[SessionStore], SessionStore]:
    """What puts a `MortalStore` around a store."""
    return lambda store: cast("SessionStore", MortalStore(store, point, note))


def read_boundary(note: Path) -> Boundary:
    """What a process wrote down at its end."""
    return Boundary(*json.loads(note.read_text(encoding="utf-8")))


def _boundary(moment: str, name: str, args: Sequence[Any]) -> Boundary:
    if what := _WRITES[name]:
        return Boundary(moment, what)
    events = cast("Sequence[EventData]", args[_EVENTS_AT[name]])
    (call_id,) = {getattr(event, "call_id", "") for event in events}
    return Boundary(moment, "+".join(event.kind for event in events), call_id)
