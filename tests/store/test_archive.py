"""Exports: every session comes back as it was, and every damage is named by its line."""

import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_mcp.errors import StoreError
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.sessions.upkeep import ArchivedTurn, RawEvent, SessionArchive
from agent_mcp.store.archive import ArchiveReader, exported, header
from agent_mcp.store.open import open_store
from tests.contracts.upkeep_contract import ARCHIVE, EVENTS, giving

pytestmark = pytest.mark.anyio

sound = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | sound,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(sound, inner, max_size=3),
    max_leaves=6,
)
times = st.floats(min_value=0, max_value=4e9)


@st.composite
def objects(draw: st.DrawFn, **known: st.SearchStrategy[Any]) -> str:
    """JSON text with keys that nobody knows, written in one way or another."""
    strange = draw(st.dictionaries(sound.map(lambda key: f"new {key}"), json_values, max_size=3))
    data = {name: draw(value) for name, value in known.items()} | strange
    return json.dumps(data, separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])), ensure_ascii=False)


def turn(n: int, status: str) -> ArchivedTurn:
    """A turn's row."""
    return ArchivedTurn(n, "done" if status == "done" else "queued")


kinds = st.one_of(
    st.tuples(sound.map(lambda kind: f"new {kind}"), objects(data=json_values, profile=json_values)),
    st.tuples(st.sampled_from(["user_message", "note"]), objects(text=sound)),
)
logs = st.lists(st.tuples(st.integers(0, 3), times, kinds), max_size=5).map(
    lambda rows: tuple(RawEvent(n, turn, at, *kind) for n, (turn, at, kind) in enumerate(rows, start=1))
)
sessions = st.builds(
    SessionArchive,
    id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    profile=objects(agent=sound, model=sound),
    head=st.just(0),
    created_at=times,
    updated_at=times,
    forked_from=st.none() | sound,
    origin=sound,
    principal=sound,
    turns=st.lists(st.sampled_from(["queued", "done"]), max_size=3).map(
        lambda found: tuple(turn(n, status) for n, status in enumerate(found, start=1))
    ),
)


async def file_of(store: SessionStore, *ids: str) -> bytes:
    """An export."""
    lines = [header()]
    for session_id in ids:
        lines += [line async for line in exported(store, session_id)]
    return "".join(f"{line}\n" for line in lines).encode()


async def take_in(store: SessionStore, file: bytes) -> None:
    """An import."""
    for found in ArchiveReader(io.BytesIO(file), "x.jsonl").sessions():
        await store.restore(found.archive, found.events)


async def go_round(folder: Path, archive: SessionArchive, log: tuple[RawEvent, ...]) -> None:
    """Into one store, out of it into another, and out again."""
    async with (
        open_store(f"sqlite:///{folder}/a.db") as first,
        open_store(f"sqlite:///{folder}/b.db") as second,
    ):
        await first.restore(archive, giving(log))
        file = await file_of(first, archive.id)
        await take_in(second, file)
        assert await second.archive(archive.id) == archive
        assert tuple(await second.raw_events(archive.id, after=0, up_to=archive.head)) == log
        assert await file_of(second, archive.id) == file


@settings(max_examples=25, deadline=None)
@given(sessions, logs)
def test_any_session_comes_back_to_the_byte(archive: SessionArchive, log: tuple[RawEvent, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(go_round, Path(folder), replace(archive, head=len(log)), log)


async def test_other_programs_may_write_the_lines_anew(store: SessionStore) -> None:
    await store.restore(ARCHIVE, giving(EVENTS))
    lines = (await file_of(store, "s1")).decode().splitlines()
    again = "".join(json.dumps(json.loads(line), sort_keys=True, indent=None) + "\r\n" for line in lines)
    ((archive, events),) = [
        (found.archive, list(found.events()))
        for found in ArchiveReader(io.BytesIO(again.encode()), "x").sessions()
    ]
    assert json.loads(archive.profile) == json.loads(ARCHIVE.profile)
    assert [event.kind for event in events] == [event.kind for event in EVENTS]


@pytest.fixture
async def good(store: SessionStore) -> list[bytes]:
    """The lines of an export with two sessions: 1 header, 2-8 `s1`, 9-15 `s2`."""
    for name in ("s1", "s2"):
        await store.restore(replace(ARCHIVE, id=name), giving(EVENTS))
    lines = (await file_of(store, "s1", "s2")).splitlines(keepends=True)
    await store.delete("s1")
    await store.delete("s2")
    return lines


@pytest.mark.parametrize(
    ("number", "line", "said"),
    [
        (5, b'{"event":{"seq":1', "line 5: this is not JSON"),
        (5, b"\xff\n", "line 5: this is not JSON"),
        (5, b"[]\n", "line 5: this is not an object"),
        (5, b'{"event":7}\n', "line 5: 'event' is missing"),
        (5, b'{"event":{"seq":1,"turn":1,"at":1,"kind":"note"}}\n', "line 5: .*'data'"),
        (
            5,
            b'{"event":{"seq":"1","turn":1,"at":1,"kind":"x","data":{}}}\n',
            "line 5: 'seq' has another type",
        ),
        (5, b'{"event":{"seq":1,"turn":1,"at":1,"kind":"note","data":{"text":1}}}\n', "line 5: .*note"),
        (
            5,
            b'{"event":{"seq":1,"turn":1,"at":1,"kind":"x","mood":1,"data":{}}}\n',
            "line 5: 'mood' is not known",
        ),
        (6, b"", "line 6: event 2 of session s1 is missing"),
        (8, b"", "line 8: session s1 has no end here"),
        (8, b'{"end":{"id":"s1","events":2}}\n', "line 8: session s1 has no end here"),
        (3, b'{"turn":{"n":1,"status":"running"}}\n', "line 3: a turn can't be 'running'"),
        (2, b'{"session":{"id":"s1","profile":{"agent":1}}}\n', "line 2: "),
        (4, b'{"turn":{"n":1,"status":"done"}}\n', "line 4: turn 1 of session s1 comes after turn 1"),
        (3, b'{"turn":{"n":1' + b"0" * 30 + b',"status":"done"}}\n', "line 3: 'n' is out of range"),
        (5, b'{"event":{"seq":1,"turn":-1,"at":1,"kind":"x","data":{}}}\n', "line 5: 'turn' is out of range"),
        (5, b'{"event":{"seq":1,"turn":1,"at":NaN,"kind":"x","data":{}}}\n', "line 5: 'at' is out of range"),
        (
            5,
            b'{"event":{"seq":1,"turn":1,"at":1,"kind":"user_message","data":{"text":"\\uD83D"}}}\n',
            "line 5: .*surrogates not allowed",
        ),
        (1, b'{"format":"agent-mcp sessions","version":2}\n', "line 1: format version 2 is newer than 1"),
        (1, b"{}\n", "line 1: this is no export"),
    ],
)
async def test_a_damaged_line_is_named_and_its_session_left_out(
    store: SessionStore, good: list[bytes], number: int, line: bytes, said: str
) -> None:
    damaged = [*good[: number - 1], line, *good[number:]]
    with pytest.raises(StoreError, match=said):
        await take_in(store, b"".join(damaged))
    assert await store.list(principal=None, limit=9) == []


@pytest.mark.parametrize(
    ("was", "put", "said"),
    [
        (b'"updated_at":3.1', b'"updated_at":1e999', "'updated_at' is out of range"),
        (b'"updated_at":3.1', b'"updated_at":1e300', "'updated_at' is out of range"),
        (b'"created_at":1.25', b'"created_at":-1e300', "'created_at' is out of range"),
        (b'"head":3', b'"head":99999999999999999999', "'head' is out of range"),
        (b'"id":"s1"', b'"id":"../s1"', "session_id: '../s1' is not an id"),
        (b'"id":"s1"', b'"id":"s\\u001b[31m"', "is not an id"),
    ],
)
async def test_a_session_that_no_client_could_list_or_name_is_left_out(
    store: SessionStore, good: list[bytes], was: bytes, put: bytes, said: str
) -> None:
    odd = [good[0], good[1].replace(was, put), *good[2:]]
    with pytest.raises(StoreError, match=rf"line 2: .*{said}"):
        await take_in(store, b"".join(odd))
    assert await store.list(principal=None, limit=9) == []


async def test_what_stands_before_a_damaged_session_is_imported(
    store: SessionStore, good: list[bytes]
) -> None:
    with pytest.raises(StoreError, match=r"x\.jsonl: line 14: session s2 has no end here"):
        await take_in(store, b"".join(good[:-1]))
    assert [line.id for line in await store.list(principal=None, limit=9)] == ["s1"]


async def test_a_session_deleted_while_it_is_exported_is_no_whole_export(store: SessionStore) -> None:
    await store.restore(ARCHIVE, giving(EVENTS))
    lines = exported(store, "s1")
    await anext(lines)
    await store.delete("s1")
    with pytest.raises(StoreError, match="was deleted"):
        _ = [line async for line in lines]
