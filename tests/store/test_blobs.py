"""Large contents beside the log: once each, put back to the byte, and gone with the last session that has them."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_mcp.agent.messages import Media, Text
from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import NoteAdded, ToolFinished
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.store.blobs import LARGE_CHARACTERS, blobs_of, put_back, set_apart
from agent_mcp.store.codec import decode, encode
from tests.contracts.store_contract import session

pytestmark = pytest.mark.anyio

LARGE = "x" * LARGE_CHARACTERS
contents = st.lists(
    st.one_of(
        st.builds(Text, st.text(max_size=20).map(lambda text: text + LARGE)),
        st.builds(Media, st.text(max_size=5), st.sampled_from(["", "A", "A" * LARGE_CHARACTERS])),
        st.builds(Text, st.one_of(st.text(max_size=20), st.just(f'"blob":"{"0" * 64}"'))),
    ),
    max_size=3,
).map(tuple)


@given(contents)
def test_what_is_set_apart_is_put_back_to_the_byte(content: tuple[Text | Media, ...]) -> None:
    whole = encode(ToolFinished("c1", content))
    apart = set_apart(whole)
    hashes = blobs_of(apart.kind, apart.text)
    assert set(hashes) == {hashed for hashed, _ in apart.blobs}
    assert len(apart.text) < LARGE_CHARACTERS
    text = put_back(apart.text, dict(apart.blobs)) if hashes else apart.text
    assert text == whole.text
    assert decode(apart.kind, text) == whole.data


def test_only_large_results_are_set_apart() -> None:
    for event in (NoteAdded(LARGE), ToolFinished("c1", (Text("x" * (LARGE_CHARACTERS - 1)),))):
        assert set_apart(encode(event)).blobs == ()


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another connection sees."""
    connection = sqlite3.connect(path)
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


async def test_equal_results_are_stored_once_and_go_with_the_last(store: SessionStore, path: Path) -> None:
    for name in ("s1", "s2"):
        await store.create(session(name))
        await store.append(
            name, 1, [ToolFinished(f"{name}-c", (Text(LARGE), Text(LARGE + "y"), Text(LARGE)))]
        )
    assert rows(path, "SELECT count(*) FROM blobs") == [(2,)]
    assert rows(path, "SELECT max(length(data)) < 1000 FROM events") == [(1,)]
    await store.delete("s1")
    assert rows(path, "SELECT count(*) FROM blobs") == [(2,)]
    await store.delete("s2")
    assert rows(path, "SELECT count(*) FROM blobs UNION ALL SELECT count(*) FROM blob_refs") == [(0,), (0,)]


async def test_a_missing_content_is_an_error_that_says_so(store: SessionStore, path: Path) -> None:
    await store.create(session("s1"))
    await store.append("s1", 1, [ToolFinished("c1", (Text(LARGE),))])
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM blobs")
    connection.close()
    with pytest.raises(StoreError, match="is missing"):
        await store.read("s1")
