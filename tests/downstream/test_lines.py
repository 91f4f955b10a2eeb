"""Lines come whole however their bytes come, and none is longer than may be."""

from hypothesis import given
from hypothesis import strategies as st

from agent_mcp.downstream.lines import LineCutter


@given(chunks=st.lists(st.binary(max_size=20) | st.just(b"\n"), max_size=20))
def test_lines_are_those_of_all_bytes_together(chunks: list[bytes]) -> None:
    cutter = LineCutter(10_000)
    lines = [line for chunk in chunks for line in cutter.feed(chunk)] + list(cutter.end())
    whole = b"".join(chunks).split(b"\n")
    assert lines == (whole if whole[-1] else whole[:-1])


def test_of_a_longer_line_the_beginning_comes_at_once_and_the_next_one_is_whole() -> None:
    cutter = LineCutter(4)
    assert list(cutter.feed(b"abc")) == []
    assert list(cutter.feed(b"defgh")) == [b"abcde"]
    assert list(cutter.feed(b"ijk")) == []
    assert list(cutter.feed(b"l\nnext\n")) == [b"next"]
    assert list(cutter.end()) == []
