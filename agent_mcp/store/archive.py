"""Sessions as JSON Lines, out of any store and into any other. Knows no command line and no database.

The format, version 1: a header line, then for each session a line with its row, a line a turn, a line an event, and
an end line that says how many events there were, so that a file that was cut off is noticed. Profiles and events
stand there as they are stored; an event's large contents stand in it, once for each use.

    {"format":"agent-mcp sessions","version":1}
    {"session":{"id":"s1","head":1,"created_at":1.5,…,"profile":{…}}}
    {"turn":{"n":1,"status":"done"}}
    {"event":{"seq":1,"turn":1,"at":1.5,"kind":"user_message","data":{"text":"hello"}}}
    {"end":{"id":"s1","events":1}}
"""

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO, NoReturn, cast

from agent_mcp.errors import InvalidArgumentError, StoreError
from agent_mcp.sessions.start import check_session_id
from agent_mcp.sessions.upkeep import ArchivedTurn, RawEvent, SessionArchive, StoreUpkeep
from agent_mcp.store.codec import decode, decode_profile

FORMAT = "agent-mcp sessions"
VERSION = 1

_AGAIN = "take the line from another copy, or export again"
_LARGEST = 2**31 - 1
"""Of a number: what every store can hold."""
_LATEST = 32_503_680_000
"""The year 3000: one time that a calendar does not know would spoil every list that its session stands in."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_Line = Mapping[str, Any]


def header() -> str:
    """The first line of a file."""
    return _dump({"format": FORMAT, "version": VERSION})


async def exported(store: StoreUpkeep, session_id: str) -> AsyncGenerator[str]:
    """The lines of one session as it is now; a turn that runs on is cut where it stands.

    Raises:
        SessionNotFoundError: no session has this id.
    """
    archive = await store.archive(session_id)
    row = asdict(archive)
    profile, turns = row.pop("profile"), row.pop("turns")
    yield _dump({"session": row})[:-2] + f',"profile":{profile}}}}}'
    for turn in turns:
        yield _dump({"turn": turn})
    seq = 0
    while seq < archive.head:
        page = await store.raw_events(session_id, after=seq, up_to=archive.head)
        if not page:
            raise StoreError(f"session {session_id} was deleted while it was exported")
        for event in page:
            fields = asdict(event)
            data = fields.pop("data")
            yield _dump({"event": fields})[:-2] + f',"data":{data}}}}}'
        seq = page[-1].seq
    yield _dump({"end": {"id": session_id, "events": archive.head}})


@dataclass(frozen=True, slots=True)
class ArchivedSession:
    """A session in a file."""

    archive: SessionArchive
    events: Callable[[], Iterator[RawEvent]]
    """As `StoreUpkeep.restore` takes them; they end at the session's end line."""


class ArchiveReader:
    """Reads a file from its start, one session after the other, a line at a time."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """`file` must be able to go back; `name` stands in what is complained of."""
        self._file = file
        self._name = name
        self._line = 0

    def sessions(self) -> Iterator[ArchivedSession]:
        """The sessions; each one's events must have been read to their end before the next is asked for.

        Raises:
            StoreError: the file is none of ours, of a newer version, or damaged; names the line.
        """
        self._check_header()
        while (line := self._next()) is not None:
            yield self._session(line)

    def _check_header(self) -> None:
        line = self._next() or {}
        version: object = line.get("version")
        if line.get("format") != FORMAT or not isinstance(version, int):
            self._refuse(
                "this is no export of sessions", "give a file that `agent-mcp sessions export` wrote"
            )
        if version > VERSION:
            self._refuse(
                f"format version {version} is newer than {VERSION}, the newest known", "update agent-mcp"
            )

    def _session(self, line: _Line) -> ArchivedSession:
        archive: SessionArchive = self._built(SessionArchive, self._object(line, "session"))
        self._checked(lambda: check_session_id(archive.id))
        self._checked(lambda: decode_profile(archive.profile))
        turns: list[ArchivedTurn] = []
        at, number = self._file.tell(), self._line
        while (following := self._next()) is not None and "turn" in following:
            turn = self._turn(self._object(following, "turn"))
            if turns and turn.n <= turns[-1].n:
                self._refuse(f"turn {turn.n} of session {archive.id} comes after turn {turns[-1].n}", _AGAIN)
            turns.append(turn)
            at, number = self._file.tell(), self._line
        self._go_to(at, number)
        whole = replace(archive, turns=tuple(turns))
        return ArchivedSession(whole, lambda: self._events(whole, at, number))

    def _turn(self, fields: Mapping[str, Any]) -> ArchivedTurn:
        turn: ArchivedTurn = self._built(ArchivedTurn, fields)
        if turn.status not in ("queued", "done"):
            self._refuse(f"a turn can't be {turn.status!r}", _AGAIN)
        return turn

    def _events(self, archive: SessionArchive, at: int, number: int) -> Iterator[RawEvent]:
        self._go_to(at, number)
        seq = 0
        while (line := self._next()) is not None and "event" in line:
            event: RawEvent = self._built(RawEvent, self._object(line, "event"))
            seq += 1
            if event.seq != seq:
                self._refuse(f"event {seq} of session {archive.id} is missing", _AGAIN)
            self._checked(lambda event=event: decode(event.kind, event.data))
            yield event
        if line is None or line.get("end") != {"id": archive.id, "events": archive.head}:
            self._refuse(f"session {archive.id} has no end here: the file is cut off or mixed up", _AGAIN)

    def _go_to(self, at: int, number: int) -> None:
        self._file.seek(at)
        self._line = number

    def _next(self) -> _Line | None:
        """The object in the next line; None at the end of the file."""
        raw = self._file.readline()
        if not raw:
            return None
        self._line += 1
        try:
            text = raw.decode().strip()
            line = json.loads(text)
            if _HALF.search(text):
                _dump(line).encode()  # half a character is accepted by JSON and by no store
        except (ValueError, RecursionError) as error:
            self._refuse(f"this is not JSON: {error}", _AGAIN)
        if not isinstance(line, dict):
            self._refuse("this is not an object", _AGAIN)
        return _verbatim(cast("dict[str, Any]", line), text)

    def _object(self, line: _Line, key: str) -> dict[str, Any]:
        value: object = line.get(key)
        if not isinstance(value, dict):
            self._refuse(f"{key!r} is missing", _AGAIN)
        return cast("dict[str, Any]", value)

    def _built(self, cls: type[Any], fields: Mapping[str, Any]) -> Any:
        """Raises: StoreError: a field is missing, or one is not known, or has another type, or is out of range."""
        for key, value in fields.items():
            if key in _TYPES and not isinstance(value, _TYPES[key]):
                self._refuse(f"{key!r} has another type", _AGAIN)
            largest = _LATEST if _TYPES.get(key) is _TIME else _LARGEST
            if isinstance(value, int | float) and not 0 <= value <= largest:
                self._refuse(f"{key!r} is out of range", _AGAIN)
        unknown = sorted(set(fields) - set(cls.__annotations__))
        if unknown:
            self._refuse(f"{unknown[0]!r} is not known", "update agent-mcp")
        return self._checked(lambda: cls(**fields))

    def _checked(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except (StoreError, InvalidArgumentError, TypeError) as error:
            self._refuse(str(error), _AGAIN)

    def _refuse(self, problem: str, hint: str) -> NoReturn:
        raise StoreError(f"{self._name}: line {self._line}: {problem}", hint=hint)


_TIME = (int, float)
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "seq": int,
    "turn": int,
    "n": int,
    "head": int,
    "at": _TIME,
    "created_at": _TIME,
    "updated_at": _TIME,
    "kind": str,
    "status": str,
    "origin": str,
    "principal": str,
    "forked_from": (str, type(None)),
}


def _verbatim(line: dict[str, Any], text: str) -> _Line:
    """The line with its profile or data as the text that stands there: parsed and written again, numbers change."""
    for outer, inner in (("session", "profile"), ("event", "data")):
        value: object = line.get(outer)
        if isinstance(value, dict) and inner in value:
            fields = cast("dict[str, Any]", value)
            return {outer: {**fields, inner: _raw(text, inner, fields[inner])}}
    return line


def _raw(text: str, key: str, value: object) -> str:
    raw = text[text.index(f'"{key}":') + len(key) + 3 : -2].strip()
    try:
        same = json.loads(raw) == value
    except ValueError:
        same = False
    # Another program may have put the keys in another order; NaN equals nothing.
    return raw if same else _dump(value)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
