"""The event reader against the event stream format."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_mcp.models.sse import Event, EventReader


def read(*chunks: bytes) -> list[Event]:
    """All events of the chunks."""
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@settings(deadline=None)
@given(
    events=st.lists(
        st.tuples(st.sampled_from([b"", b"a", b"b.c"]), st.text("xyü:é ", min_size=1)), max_size=5
    ),
    size=st.integers(min_value=1, max_value=40),
)
def test_events_are_the_same_wherever_the_chunks_are_cut(
    newline: bytes, events: list[tuple[bytes, str]], size: int
) -> None:
    expected = [(name, text.encode()) for name, text in events]
    lines = [b"event: " + name + newline if name else b"" for name, _ in expected]
    stream = b"".join(
        line + b"data: " + data + newline * 2 for line, (_, data) in zip(lines, expected, strict=True)
    )
    assert read(*(stream[i : i + size] for i in range(0, len(stream), size))) == expected


def test_comments_and_unknown_fields_are_ignored() -> None:
    assert read(b": keep-alive\n\nid: 7\nretry: 5\ndata: x\n\n") == [(b"", b"x")]


def test_several_data_lines_are_one_text() -> None:
    assert read(b"data: a\ndata:b\n\n") == [(b"", b"a\nb")]


def test_a_last_event_without_its_blank_line_is_given() -> None:
    assert read(b"data: a\n\ndata: b") == [(b"", b"a"), (b"", b"b")]


def test_an_event_without_data_is_none() -> None:
    assert read(b"event: ping\n\ndata: a\n\n") == [(b"", b"a")]
