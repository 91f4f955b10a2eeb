"""Pages of a transcript are those of the whole one, however the log has grown between them."""

from collections.abc import Sequence

import pytest

from agent_mcp.agent.messages import Text, ToolCall, Usage
from agent_mcp.sessions.events import (
    Event,
    EventData,
    ModelReplied,
    NoteAdded,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    UserMessageAdded,
)
from agent_mcp.sessions.excerpt import read_page
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.transcript import Detail, Entry, entries


def step(number: int, *, calls: int, read: int, text: str = "") -> list[EventData]:
    """A reply with its calls and their results."""
    made = tuple(ToolCall(f"call_{number}_{n}", "t__look", {"n": n}) for n in range(calls))
    reply = ModelReplied(number, (Text(text), *made), "tool_use" if made else "end_turn", Usage(1, 1), read)
    started = [ToolStarted(call.id, rerun=True) for call in made]
    return [reply, *started, *(ToolFinished(call.id, (Text("seen " * 10),)) for call in made)]


LOG: Sequence[tuple[int, EventData]] = [
    (1, UserMessageAdded("first " * 3000)),
    *((1, event) for event in step(0, calls=3, read=1)),
    (1, UserMessageAdded("meanwhile")),
    *((1, event) for event in step(1, calls=12, read=9, text="long " * 3000)),
    (1, NoteAdded("a server was restarted")),
    *((1, event) for event in step(2, calls=0, read=36)),
    (1, TurnEnded("end_turn")),
    (2, UserMessageAdded("second")),
    *((2, event) for event in step(3, calls=1, read=39)),
    (2, UserMessageAdded("too late")),
    (2, TurnEnded("cancelled")),
]


def events(count: int) -> list[Event]:
    """The first ones of the log."""
    return [Event(seq, turn, 0.0, data) for seq, (turn, data) in enumerate(LOG[:count], start=1)]


def in_pages(state: SessionState, detail: Detail, limit: int) -> list[Entry]:
    """The whole transcript, page by page."""
    found: list[Entry] = []
    offset: int | None = 0
    while offset is not None:
        page, offset = read_page(state, detail, offset=offset, limit=limit, characters=20_000)
        assert 0 < len(page) <= limit
        found += page
    return found


@pytest.mark.parametrize("detail", ["steps", "full"])
@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_the_pages_of_a_growing_session_are_its_transcript(detail: Detail, limit: int) -> None:
    state = SessionState("s1")
    for count in range(1, len(LOG) + 1):
        state.absorb(events(count))
        assert in_pages(state, detail, limit) == entries(state, detail), count


def test_a_page_may_begin_anywhere_and_before_what_was_seen() -> None:
    state = SessionState("s1")
    state.absorb(events(len(LOG)))
    whole = entries(state, "full")
    for offset in (*range(len(whole) - 1, -1, -1), *range(len(whole))):
        page, after = read_page(state, "full", offset=offset, limit=4, characters=10**6)
        assert page == whole[offset : offset + 4]
        assert after == (offset + 4 if offset + 4 < len(whole) else None)


@pytest.mark.parametrize("offset", [0, 7])
def test_beyond_the_end_there_is_nothing(offset: int) -> None:
    assert read_page(SessionState("s1"), "full", offset=offset, limit=5, characters=100) == ([], None)


def test_an_entry_that_is_longer_than_a_page_is_one() -> None:
    state = SessionState("s1")
    state.absorb(events(1))
    page, after = read_page(state, "full", offset=0, limit=5, characters=10)
    assert (len(page), after) == (1, 1)
