"""A second process on a store, for tests: `python -m tests.store.child URL ACTION [ARGUMENT]`.

Says on stdout what it did, a line each, and goes on when it reads a line on stdin.
"""

import sys

import anyio
import anyio.to_thread

from agent_mcp.errors import FencedError
from agent_mcp.sessions.events import NoteAdded
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.store.open import open_store

SESSION = "s1"


async def main(url: str, action: str) -> None:
    """Do one of the actions below."""
    async with open_store(url) as store:
        match action:
            case "append":
                await append_for_ever(store)
            case "claim":
                await claim_and_hold(store)
            case "turns":
                await run_turns(store)
            case _:
                raise SystemExit(f"unknown action {action}")


async def append_for_ever(store: SessionStore) -> None:
    """Eight writers; a line with the sequence number for each event that is on disk."""

    async def append(who: int) -> None:
        while True:
            (event,) = await store.append(SESSION, 1, [NoteAdded(f"{who} " + "x" * 500)])
            say(str(event.seq))

    async with anyio.create_task_group() as group:
        for who in range(8):
            group.start_soon(append, who)


async def claim_and_hold(store: SessionStore) -> None:
    """Claims turn 1; told to go on, it tries to write."""
    claim = await store.claim(SESSION, 1)
    assert claim is not None
    say(f"claimed {claim.epoch} {store.owner}")
    await go_on()
    try:
        await store.append(SESSION, 1, [NoteAdded("from the zombie")], epoch=claim.epoch)
        say("written")
    except FencedError:
        say("fenced")


async def run_turns(store: SessionStore) -> None:
    """Appends a note each time it is told to."""
    number = 0
    say("ready")
    while True:
        await go_on()
        number += 1
        await store.append(SESSION, 1, [NoteAdded(f"child {number}")])


async def go_on() -> None:
    """Waits for a line; the end of stdin ends the process."""
    if not await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        raise SystemExit(0)


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
