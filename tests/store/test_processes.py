"""Several real processes on one file: killed ones lose nothing they said was stored, dead ones lose their turns."""

import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_mcp.sessions.events import NoteAdded, TurnEnded
from agent_mcp.sessions.ports import SessionStore
from tests.contracts.store_contract import OpenStore, claimed, session
from tests.store.child import SESSION

pytestmark = pytest.mark.anyio


class Child:
    """A running `tests.store.child`."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdout is not None and process.stdin is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)

    async def line(self) -> str:
        """The next line that it says."""
        return (await self._stdout.receive_until(b"\n", 10_000)).decode()

    async def go_on(self) -> None:
        """Let it go on."""
        await self._stdin.send(b"\n")

    async def kill(self) -> list[str]:
        """SIGKILL; the whole lines that it had still said."""
        self._process.kill()
        await self._process.wait()
        rest = b""
        try:
            while True:
                rest += await self._stdout.receive(65536)
        except anyio.EndOfStream:
            return rest.decode().split("\n")[:-1]


@asynccontextmanager
async def child(path: Path, action: str) -> AsyncGenerator[Child]:
    """A second process on the store at `path`; killed at the end."""
    command = [sys.executable, "-m", "tests.store.child", f"sqlite:///{path}", action]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            yield Child(process)
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_process_killed_amid_appends_loses_nothing_it_had_acknowledged(
    path: Path, open_store: OpenStore
) -> None:
    with anyio.fail_after(20):
        async with open_store() as store:
            await store.create(session(SESSION))
        async with child(path, "append") as writer:
            acknowledged = [int(await writer.line()) for _ in range(500)]
            acknowledged += [int(line) for line in await writer.kill()]
        async with open_store() as store:
            events = await store.read(SESSION)
            record = await store.get(SESSION)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert record.head == len(events)
    assert set(acknowledged) <= {event.seq for event in events}
    assert len(acknowledged) == len(set(acknowledged))


async def test_a_killed_owners_turn_is_free_at_once(path: Path, store: SessionStore) -> None:
    await store.create(session(SESSION), message="hello")
    with anyio.fail_after(20):
        async with child(path, "claim") as owner:
            _, epoch, name = (await owner.line()).split()
            assert await store.unfinished() == []
            assert await store.claim(SESSION, 1) is None
            await owner.kill()
            (ref,) = await store.unfinished()
            assert (ref.turn, ref.status, ref.owner) == (1, "running", name)
            claim = await claimed(store, SESSION)
    assert claim.epoch == int(epoch) + 1
    assert claim.attempts == 2
    assert not list(path.with_name("sessions.db.owners").glob(f"{name}*"))


async def test_a_zombie_writes_nothing_after_its_turn_was_seized(path: Path, store: SessionStore) -> None:
    await store.create(session(SESSION), message="hello")
    with anyio.fail_after(20):
        async with child(path, "claim") as zombie:
            await zombie.line()
            assert await store.seize(SESSION, 1, [TurnEnded("cancelled")])
            await zombie.go_on()
            assert await zombie.line() == "fenced"
    assert [event.data for event in await store.read(SESSION, after=1)] == [TurnEnded("cancelled")]


async def test_what_another_process_appends_is_seen_within_300_ms(path: Path, store: SessionStore) -> None:
    await store.create(session(SESSION))
    with anyio.fail_after(20):
        async with child(path, "turns") as other, store.tail(SESSION, after=0) as tail:
            assert await other.line() == "ready"
            for number in range(1, 4):
                await other.go_on()
                with anyio.fail_after(0.3):
                    events = await anext(tail)
                assert [event.data for event in events] == [NoteAdded(f"child {number}")]


async def test_two_processes_that_append_at_once_both_get_their_turn(path: Path, store: SessionStore) -> None:
    await store.create(session(SESSION))
    with anyio.fail_after(20):
        async with child(path, "append") as other:
            theirs = [int(await other.line())]
            ours = [(await store.append(SESSION, 1, [NoteAdded("ours")]))[0].seq for _ in range(50)]
            theirs += [int(await other.line()) for _ in range(50)]
            theirs += [int(line) for line in await other.kill()]
    events = await store.read(SESSION)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert not set(ours) & set(theirs)


async def test_many_processes_may_open_a_new_store_at_once(path: Path) -> None:
    with anyio.fail_after(30):
        async with AsyncExitStack() as stack:
            children = [await stack.enter_async_context(child(path, "turns")) for _ in range(4)]
            assert [await one.line() for one in children] == ["ready"] * 4
            assert len(list(path.with_name("sessions.db.owners").glob("*.owner"))) == 4
