"""What of a very large tool result the model reads: its head and its tail. The log, and so every transcript, has all.

A pure function of what is in the log, so that a history renders the same after a restart and providers' caches hold.
Knows no model and no context: the cap keeps one answer of a server from filling, or paying for, all of it.
"""

from collections.abc import Sequence
from dataclasses import replace

from agent_mcp.agent.messages import Content, Media, Text, ToolResult

RESULT_CHARACTERS = 1_000_000
"""Of all text of one result together, structured content included, where the config says nothing else."""
MEDIA_CHARACTERS = 10_000_000
"""Of one image, sound or document, in base64. Providers refuse larger ones, and with them every later request."""

_CONTINUED = "[Note from agent_mcp: the beginning of this is left out.]\n"


def bounded(result: ToolResult, characters: int) -> ToolResult:
    """The result as the model reads it, with at most so much of its text, notes aside; the very same one if it fits.

    A text that is cut holds a note in its place, so that JSON which is not whole can't be read as if it were.
    """
    content = tuple(_fitting(block, result.call_id) for block in result.content)
    if _characters(content) > characters:
        content = _head_and_tail(content, result.call_id, characters)
    return result if content == result.content else replace(result, content=content)


def _characters(content: Sequence[Content]) -> int:
    return sum(len(block.text) for block in content if isinstance(block, Text))


def _fitting(block: Content, call_id: str) -> Content:
    if isinstance(block, Text) or len(block.data) <= MEDIA_CHARACTERS:
        return block
    return Text(
        f"[Note from agent_mcp: {block.mime_type} left out, since its {len(block.data):,} characters of base64 are "
        f"more than {MEDIA_CHARACTERS:,}. Ask for a smaller one. The session keeps it, at call {call_id}.]"
    )


def _head_and_tail(content: Sequence[Content], call_id: str, characters: int) -> tuple[Content, ...]:
    """Three quarters from the beginning and one from the end; media stay where they are."""
    total = _characters(content)
    tail_begins = total - characters // 4
    head_ends = characters - characters // 4
    note = _note(total, head_ends, call_id, characters)
    kept: list[Content] = []
    position = 0
    for block in content:
        if isinstance(block, Media):
            kept.append(block)
            continue
        text, begins, position = block.text, position, position + len(block.text)
        head, tail = text[: max(0, head_ends - begins)], text[max(0, tail_begins - begins) :]
        if position <= head_ends or begins >= tail_begins:
            kept.append(block)
        elif begins <= head_ends:
            kept.append(Text("\n".join(part for part in (head, note, tail) if part)))
        elif tail:
            kept.append(Text(_CONTINUED + tail))
    return tuple(kept)


def _note(total: int, head: int, call_id: str, characters: int) -> str:
    return (
        f"[Note from agent_mcp: this result has {total:,} characters, more than the {characters:,} that you are "
        f"shown. The first {head:,} stand before this note and the last {characters - head:,} after it; "
        f"{total - characters:,} in between are left out, so nothing that it cuts through is whole. If you need "
        f"more, ask for less at a time: a filter, a range, a page. The user finds all of it in the session's "
        f"transcript, at call {call_id}.]"
    )
