"""What every store must do for its operator. To be inherited from beside `StoreContract`, with the same fixtures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from secrets import token_hex

import anyio
import pytest

from agent_mcp.agent.messages import Media, Text
from agent_mcp.errors import SessionExistsError, SessionNotFoundError, StoreError
from agent_mcp.sessions.events import NoteAdded, ToolFinished, UnknownEvent, UserMessageAdded
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.sessions.upkeep import ArchivedTurn, Expiry, RawEvent, SessionArchive
from tests.contracts.store_contract import OpenStore, claimed, run_turn, session

ARCHIVE = SessionArchive(
    "s1",
    '{"agent":"a","from_a_newer_version":[1e5]}',
    head=3,
    created_at=1.25,
    updated_at=3.1,
    forked_from="s0",
    origin="o",
    principal="p",
    turns=(ArchivedTurn(1, "done"), ArchivedTurn(2, "queued")),
)
EVENTS = (
    RawEvent(1, 1, 1.25, "user_message", '{"text":"hello","mood":1.50}'),
    RawEvent(2, 1, 2.1, "of_a_newer_version", '{"b":[1E2,null],"a":NaN}'),
    RawEvent(3, 2, 3.1, "user_message", '{"text":"again"}'),
)


def giving(events: Sequence[RawEvent]) -> Callable[[], Iterator[RawEvent]]:
    """As `restore` takes them."""
    return lambda: iter(events)


def failing(events: Sequence[RawEvent], error: Exception) -> Callable[[], Iterator[RawEvent]]:
    """The events, and then an error."""

    def give() -> Iterator[RawEvent]:
        yield from events
        raise error

    return give


async def ids(store: SessionStore) -> set[str]:
    """Of all sessions."""
    return {line.id for line in await store.list(principal=None, limit=100)}


class UpkeepContract:
    """Sessions in and out whole, and away."""

    async def test_a_restored_session_comes_out_as_it_went_in(self, store: SessionStore) -> None:
        await store.restore(ARCHIVE, giving(EVENTS))
        assert await store.archive("s1") == ARCHIVE
        assert tuple(await store.raw_events("s1", after=0, up_to=3)) == EVENTS
        assert [event.data for event in await store.read("s1")][0::2] == [
            UserMessageAdded("hello"),
            UserMessageAdded("again"),
        ]
        assert isinstance((await store.read("s1"))[1].data, UnknownEvent)

    async def test_a_restored_session_goes_on_with_the_turn_that_had_not_ended(
        self, store: SessionStore
    ) -> None:
        await store.restore(ARCHIVE, giving(EVENTS))
        assert [(ref.session_id, ref.turn, ref.status) for ref in await store.unfinished()] == [
            ("s1", 2, "queued")
        ]
        claim = await claimed(store, "s1", 2)
        (event,) = await store.append("s1", 2, [NoteAdded("on")], epoch=claim.epoch)
        assert event.seq == 4

    async def test_an_archive_is_of_one_moment_and_its_running_turn_queued(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="hello")
        await claimed(store, "s1")
        archive = await store.archive("s1")
        await store.append("s1", 1, [NoteAdded("later")])
        assert (archive.head, archive.turns) == (1, (ArchivedTurn(1, "queued"),))
        assert [event.seq for event in await store.raw_events("s1", after=0, up_to=archive.head)] == [1]
        assert await store.raw_events("s1", after=archive.head, up_to=archive.head) == []

    async def test_an_unknown_session_has_no_archive(self, store: SessionStore) -> None:
        with pytest.raises(SessionNotFoundError, match="nobody"):
            await store.archive("nobody")
        assert await store.raw_events("nobody", after=0, up_to=9) == []

    async def test_a_restore_over_a_session_is_refused_and_changes_nothing(self, store: SessionStore) -> None:
        await store.create(session("s1", agent="mine"), message="hello")
        with pytest.raises(SessionExistsError, match="s1"):
            await store.restore(ARCHIVE, giving(EVENTS))
        assert ((await store.get("s1")).profile.agent, (await store.get("s1")).head) == ("mine", 1)

    @pytest.mark.parametrize(
        ("events", "said"),
        [
            (giving(EVENTS[:2]), "2 events where there must be 3"),
            (giving((EVENTS[0], EVENTS[2])), "event 2 is missing"),
            (giving((*EVENTS, replace(EVENTS[0], seq=4))), "4 events where there must be 3"),
            (failing(EVENTS[:2], StoreError("line 7: damaged")), "line 7: damaged"),
        ],
    )
    async def test_a_restore_that_fails_leaves_nothing(
        self, store: SessionStore, events: Callable[[], Iterator[RawEvent]], said: str
    ) -> None:
        with pytest.raises(StoreError, match=said):
            await store.restore(ARCHIVE, events)
        assert await ids(store) == set() and await store.read("s1") == []
        assert await store.unfinished() == []
        await store.restore(ARCHIVE, giving(EVENTS))

    async def test_a_long_log_comes_in_pages_without_gaps(self, store: SessionStore) -> None:
        await store.create(session("s1"))
        for number in range(5):
            await store.append("s1", 1, [NoteAdded(str(number)), NoteAdded("x" * 2_000_000)])
        seen: list[int] = []
        while page := await store.raw_events("s1", after=len(seen), up_to=10):
            assert len(page) < 10
            seen += [event.seq for event in page]
        assert seen == list(range(1, 11))

    async def test_a_large_result_is_read_followed_and_archived_whole(self, store: SessionStore) -> None:
        big = ToolFinished("c1", (Text("é" * 100_000), Text("small"), Media("image/png", "A" * 200_000)))
        await store.create(session("s1"))
        with anyio.fail_after(5):
            async with store.tail("s1", after=0) as batches:
                await store.append("s1", 1, [big])
                assert [event.data for event in await anext(batches)] == [big]
        assert [event.data for event in await store.read("s1")] == [big]
        (raw,) = await store.raw_events("s1", after=0, up_to=1)
        assert "é" * 100_000 in raw.data and "A" * 200_000 in raw.data

    async def test_a_large_result_stays_until_the_last_session_with_it_goes(
        self, store: SessionStore
    ) -> None:
        big = ToolFinished("c1", (Text("x" * 100_000),))
        for name in ("s1", "s2"):
            await store.create(session(name), events=[(1, big), (1, big)])
        await store.delete("s1")
        assert [event.data for event in await store.read("s2")] == [big, big]

    async def test_what_is_older_than_a_time_expires(self, store: SessionStore) -> None:
        await store.create(session("old"))
        await store.create(session("new"))
        await store.append("new", 0, [NoteAdded("later")])
        expiry = Expiry(before=(await store.get("new")).updated_at)
        assert await store.expired(expiry, limit=10) == ["old"]
        assert await store.prune(expiry, limit=10) == ["old"]
        assert await ids(store) == {"new"}
        assert await store.prune(expiry, limit=10) == []

    async def test_all_but_the_newest_expire_the_oldest_first(self, store: SessionStore) -> None:
        for number in range(5):
            await store.create(session(f"s{number}"))
        expiry = Expiry(keep=2)
        assert await store.expired(expiry, limit=2) == ["s0", "s1"]
        assert await store.prune(expiry, limit=2) == ["s0", "s1"]
        assert await store.prune(expiry, limit=2) == ["s2"]
        assert await ids(store) == {"s3", "s4"}
        assert await store.expired(Expiry(), limit=2) == []

    async def test_a_session_with_a_turn_that_has_not_ended_never_expires(self, store: SessionStore) -> None:
        for name in ("queued", "running", "done"):
            await store.create(session(name), message="hello")
        await claimed(store, "running")
        await run_turn(store, "done", 1)
        everything = Expiry(before=(await store.get("done")).updated_at + 60, keep=0)
        assert await store.prune(everything, limit=10) == ["done"]
        assert await ids(store) == {"queued", "running"}

    async def test_a_pruned_session_is_gone_with_its_log_and_its_id_is_free(
        self, store: SessionStore
    ) -> None:
        await store.create(session("s1"), message="hello")
        await run_turn(store, "s1", 1)
        assert await store.prune(Expiry(keep=0), limit=10) == ["s1"]
        assert await store.read("s1") == []
        await store.create(session("s1"), message="new")
        assert [event.data for event in await store.read("s1")] == [UserMessageAdded("new")]

    async def test_one_process_at_a_time_leads(self, store: SessionStore, open_store: OpenStore) -> None:
        async with open_store() as other:
            async with store.upkeep_lead() as first, other.upkeep_lead() as second:
                assert (first, second) == (True, False)
            async with other.upkeep_lead() as now:
                assert now

    async def test_its_size_grows_with_what_is_in_it(self, store: SessionStore) -> None:
        before = await store.size()
        await store.create(
            session("sized"), message=token_hex(100_000)
        )  # a store may compress what repeats itself
        after = await store.size()
        assert after.sessions == before.sessions + 1
        assert after.used_bytes >= before.used_bytes + 100_000

    async def test_compacting_makes_nothing_larger(self, store: SessionStore) -> None:
        done = await store.compact()
        assert done.after_bytes <= done.before_bytes

    async def test_the_trace_of_a_message_is_kept_and_tells_no_two_apart(self, store: SessionStore) -> None:
        first, second = {"traceparent": "00-1"}, {"traceparent": "00-2"}
        await store.create(session("s1"), message="hello", trace=first)
        assert (await store.submit("s1", "hello", trace=second)).outcome == "resent"
        await store.submit("s1", "more", trace=second)
        messages = [event.data for event in await store.read("s1")]
        assert [m.trace for m in messages if isinstance(m, UserMessageAdded)] == [first, second]
