"""The desk of `agent-mcp demo` without the SDK, so that it starts in a few milliseconds.

python -m tests.support.servers.desk
"""

from datetime import UTC, datetime

from tests.support.servers import raw
from tests.support.servers.raw import Json, text

_NOTES: list[str] = []


def _add_note(arguments: Json, _: Json) -> Json:
    _NOTES.append(arguments["text"])
    return text(f"kept as note {len(_NOTES)}")


def _list_notes(_: Json, __: Json) -> Json:
    return text("\n".join(f"{number}. {note}" for number, note in enumerate(_NOTES, 1)) or "no notes yet")


def _count_words(arguments: Json, _: Json) -> Json:
    return text(f"{len(arguments['text'].split())} words")


def _current_time(_: Json, __: Json) -> Json:
    return text(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))


raw.TOOLS = {
    "add_note": _add_note,
    "list_notes": _list_notes,
    "count_words": _count_words,
    "current_time": _current_time,
}
raw.HINTS = {
    "add_note": {"readOnlyHint": False, "destructiveHint": False},
    **{name: {"readOnlyHint": True} for name in ("list_notes", "count_words", "current_time")},
}

if __name__ == "__main__":
    raw.main()
