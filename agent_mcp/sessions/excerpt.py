"""A page of a session's transcript, made without making the rest: where each message begins is remembered.

A session of 10,000 steps has a hundred thousand entries; a host that reads it page by page must not have all of them
made for each page. Remembered is only what can't change any more: the messages before the last reply.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice

from agent_mcp.agent.messages import Message, Reply
from agent_mcp.sessions.log import Places, SessionState
from agent_mcp.sessions.transcript import Detail, Entry, message_entries


def read_page(
    state: SessionState, detail: Detail, *, offset: int, limit: int, characters: int
) -> tuple[list[Entry], int | None]:
    """At most `limit` entries from `offset` whose JSON is at most `characters` long (one at least), and where the
    next page begins; None at the end."""
    found = _entries_from(state, detail, offset)
    taken: list[Entry] = []
    room = characters
    for entry in islice(found, limit):
        room -= len(json.dumps(entry, ensure_ascii=False)) + 1
        if room < 0 and taken:
            return taken, offset + len(taken)
        taken.append(entry)
    return taken, None if next(found, None) is None else offset + len(taken)


def _entries_from(state: SessionState, detail: Detail, offset: int) -> Iterator[Entry]:
    places = state.places.setdefault(detail, Places())
    messages: list[Message] = [*state.history, *(unread.message for unread in state.unread)]
    settled = _last_reply(state.history)
    while len(places.entries) <= settled and places.entries[-1] <= offset:
        _remember_next(places, state, detail)
    begin = bisect_right(places.entries, offset) - 1
    step = places.steps[begin]
    skip = offset - places.entries[begin]
    for message in islice(messages, begin, None):
        made = message_entries(state, message, step, detail)
        step += isinstance(message, Reply)
        yield from made[skip:]
        skip = max(0, skip - len(made))


def _last_reply(history: list[Message]) -> int:
    """Its place; 0 where there is none."""
    places = (place for place in range(len(history) - 1, -1, -1) if isinstance(history[place], Reply))
    return next(places, 0)


def _remember_next(places: Places, state: SessionState, detail: Detail) -> None:
    message = state.history[len(places.entries) - 1]
    made = message_entries(state, message, places.steps[-1], detail)
    places.entries.append(places.entries[-1] + len(made))
    places.steps.append(places.steps[-1] + isinstance(message, Reply))
