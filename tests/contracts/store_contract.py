"""What every `SessionStore` must do. A store's own test file subclasses `StoreContract` and gives it two fixtures.

`open_store` opens the data of this test again, as another process would; `store` is one that is open already.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from agent_mcp.agent.messages import Media, Text, ToolCall, Usage
from agent_mcp.errors import (
    FencedError,
    SessionBusyError,
    SessionClosedError,
    SessionExistsError,
    SessionNotFoundError,
)
from agent_mcp.sessions.events import (
    CancelAsked,
    Event,
    EventData,
    ModelReplied,
    NoteAdded,
    SessionClosed,
    ToolFinished,
    ToolStarted,
    TurnDelivered,
    TurnEnded,
    UserMessageAdded,
)
from agent_mcp.sessions.ports import Claim, NewSession, SessionStore
from agent_mcp.sessions.profile import ApprovalRules, Budget, Profile

OpenStore = Callable[[], AbstractAsyncContextManager[SessionStore]]

ENDED = (TurnEnded("end_turn"),)


def replied(*, step: int = 0, read: int) -> ModelReplied:
    """A reply of a model that had read up to `read`."""
    return ModelReplied(step=step, parts=(Text("hello"),), stop="end_turn", usage=Usage(), read=read)


def session(session_id: str, *, agent: str = "") -> NewSession:
    """A session with nothing special about it."""
    return NewSession(session_id, Profile(agent=agent))


async def claimed(store: SessionStore, session_id: str, turn: int = 1) -> Claim:
    """The claim of a turn that is known to be free."""
    claim = await store.claim(session_id, turn)
    assert claim is not None
    return claim


async def run_turn(store: SessionStore, session_id: str, turn: int, *, delivered: bool = True) -> None:
    """A whole turn: claimed, answered, ended."""
    claim = await claimed(store, session_id, turn)
    head = (await store.get(session_id)).head
    await store.append(session_id, turn, [replied(read=head)], epoch=claim.epoch)
    assert await store.end_turn(claim, ENDED, unread_after=head)
    if delivered:
        await store.append(session_id, turn, [TurnDelivered()])


def data_of(events: Sequence[Event]) -> list[EventData]:
    """The events without their places."""
    return [event.data for event in events]  # pyright: ignore[reportReturnType]  # no test stores unknown ones


class Sessions:
    """Making, finding, listing and removing sessions."""

    async def test_a_session_comes_back_as_it_was_made(self, store: SessionStore) -> None:
        profile = Profile(
            agent="researcher",
            model="local",
            servers=("docs",),
            tools=(("docs__*",), ("*",)),
            max_steps=7,
            budget=Budget(tokens=10, cost_usd=0.5),
            approvals=ApprovalRules(allow=("a__*",), off=True),
            interrupted={"docs": "retry"},
        )
        await store.create(NewSession("s1", profile, origin="o", principal="p"))
        record = await store.get("s1")
        assert record.profile == profile
        assert (record.head, record.origin, record.principal, record.forked_from) == (0, "o", "p", None)
        assert record.created_at == record.updated_at > 0

    async def test_a_taken_id_is_refused_and_the_first_session_stays(self, store: SessionStore) -> None:
        await store.create(session("s1", agent="first"))
        with pytest.raises(SessionExistsError, match="s1"):
            await store.create(session("s1", agent="second"), message="hello")
        assert (await store.get("s1")).profile.agent == "first"
        assert await store.count_unfinished() == 0

    async def test_an_unknown_session_is_not_found(self, store: SessionStore) -> None:
        with pytest.raises(SessionNotFoundError, match="nobody"):
            await store.get("nobody")
        with pytest.raises(SessionNotFoundError):
            await store.submit("nobody", "hello")
        with pytest.raises(SessionNotFoundError):
            await store.append("nobody", 1, [CancelAsked()])
        with pytest.raises(SessionNotFoundError):
            await store.append("nobody", 1, [CancelAsked()], epoch=1)
        with pytest.raises(SessionNotFoundError):
            await store.delete("nobody")
        with pytest.raises(SessionNotFoundError):
            await store.seize("nobody", 1, ENDED)
        assert await store.read("nobody") == []
        assert await store.claim("nobody", 1) is None

    async def test_a_first_message_makes_the_first_turn(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="hello")
        (event,) = await store.read("s1")
        assert (event.seq, event.turn, event.data) == (1, 1, UserMessageAdded("hello"))
        assert [(ref.turn, ref.status) for ref in await store.unfinished()] == [(1, "queued")]

    async def test_a_fork_begins_with_the_past_it_was_given(self, store: SessionStore) -> None:
        past: list[tuple[int, EventData]] = [
            (1, UserMessageAdded("a")),
            (1, replied(read=1)),
            (2, NoteAdded("b")),
        ]
        await store.create(NewSession("f", Profile(), forked_from="s1"), events=past)
        events = await store.read("f")
        assert [(event.turn, event.data) for event in events] == past
        assert [event.seq for event in events] == [1, 2, 3]
        assert (await store.get("f")).forked_from == "s1"
        assert await store.count_unfinished() == 0
        assert (await store.submit("f", "go on")).turn == 3

    async def test_a_listing_tells_what_a_session_is_about(self, store: SessionStore) -> None:
        await store.create(session("s1", agent="researcher"), message="  What\n\tis   " + "x" * 100)
        await store.create(session("s2"))
        await run_turn(store, "s1", 1)
        await store.submit("s1", "more")
        await store.append("s2", 0, [SessionClosed()])
        newest, older = await store.list(limit=10)
        assert (newest.id, newest.turns, newest.turn_status, newest.closed, newest.title) == (
            "s2",
            0,
            None,
            True,
            "",
        )
        assert (older.id, older.agent, older.turns, older.turn_status) == ("s1", "researcher", 2, "queued")
        assert (older.closed, older.title) == (False, "What is " + "x" * 72)
        assert older.updated_at >= older.created_at

    async def test_a_listing_comes_in_pages_without_gaps(self, store: SessionStore) -> None:
        for number in range(7):
            await store.create(session(f"s{number}"))
        seen: list[str] = []
        before: tuple[float, str] | None = None
        while page := await store.list(limit=3, before=before):
            seen += [line.id for line in page]
            before = (page[-1].updated_at, page[-1].id)
        assert seen == [f"s{number}" for number in reversed(range(7))]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("SEARCH", ["a1"]),
            ("b_2", ["b_2"]),
            ("%", ["c3"]),
            ("straße", ["c3"]),
            ("STRASSE", ["c3"]),
            ("two   words", ["b_2"]),
            ("a1 re", []),
            ("", ["c3", "b_2", "a1"]),
        ],
    )
    async def test_a_listing_finds_id_agent_and_title(
        self, store: SessionStore, query: str, found: list[str]
    ) -> None:
        await store.create(session("a1", agent="Researcher"), message="plain")
        await store.create(session("b_2"), message="two\nwords")
        await store.create(session("c3"), message="100 % Straße")
        assert [line.id for line in await store.list(query=query, limit=10)] == found

    async def test_a_listing_may_be_of_one_status(self, store: SessionStore) -> None:
        for name in ("idle", "unused", "queued", "running", "closed", "closing"):
            await store.create(session(name), message=None if name == "unused" else "hello")
        for name in ("idle", "closed"):
            await run_turn(store, name, 1)
        await claimed(store, "running")
        for name in ("closed", "closing"):
            await store.append(name, 0, [SessionClosed()])
        found = {
            status: {line.id for line in await store.list(status=status, limit=10)}
            for status in ("idle", "unfinished", "closed", None)
        }
        assert found["idle"] == {"idle", "unused"}
        assert found["unfinished"] == {"queued", "running"}
        assert found["closed"] == {"closed", "closing"}
        assert found[None] == found["idle"] | found["unfinished"] | found["closed"]

    async def test_a_listing_of_one_status_comes_in_pages_and_by_principal(self, store: SessionStore) -> None:
        for number in range(6):
            principal = "ada" if number % 2 else "bob"
            await store.create(NewSession(f"s{number}", Profile(), principal=principal), message="hello")
        first = await store.list(principal=None, status="unfinished", query="HELLO", limit=4)
        last = first[-1]
        rest = await store.list(
            principal=None, status="unfinished", limit=4, before=(last.updated_at, last.id)
        )
        assert [line.id for line in (*first, *rest)] == ["s5", "s4", "s3", "s2", "s1", "s0"]
        ours = await store.list(principal="ada", status="unfinished", limit=9)
        assert [line.id for line in ours] == ["s5", "s3", "s1"]

    async def test_a_forks_title_is_its_first_message(self, store: SessionStore) -> None:
        past: list[tuple[int, EventData]] = [
            (1, UserMessageAdded("the first")),
            (1, UserMessageAdded("more")),
        ]
        await store.create(NewSession("f", Profile(agent="Scout")), events=past)
        await store.submit("f", "another")
        (line,) = await store.list(query="THE first", limit=9)
        assert (line.id, line.title) == ("f", "the first")
        assert await store.list(query="another", limit=9) == []

    async def test_a_deleted_session_is_gone_with_its_log(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="hello")
        await store.delete("s1")
        assert await store.read("s1") == []
        assert await store.count_unfinished() == 0
        assert await store.list(limit=10) == []
        await store.create(session("s1"))
        assert (await store.get("s1")).head == 0

    async def test_a_session_at_work_cannot_be_deleted(
        self, store: SessionStore, open_store: OpenStore
    ) -> None:
        await store.create(session("s1"), message="hello")
        claim = await claimed(store, "s1")
        async with open_store() as other:
            for one in (store, other):
                with pytest.raises(SessionBusyError, match="running"):
                    await one.delete("s1")
        await store.end_turn(claim, ENDED, unread_after=None)
        await store.delete("s1")

    async def test_a_session_whose_runner_died_can_be_deleted(
        self, store: SessionStore, open_store: OpenStore
    ) -> None:
        await store.create(session("s1"), message="hello")
        async with open_store() as other:
            await claimed(other, "s1")
        await store.delete("s1")


class Log:
    """Appending, reading and following."""

    async def test_appended_events_are_read_as_they_were_returned(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="hello")
        call = ToolCall("call_1", "time__now", {"zone": "UTC", "deep": [{"x": None}]}, provider_id="toolu")
        reply = ModelReplied(0, (Text("t"), call), "tool_use", Usage(1, 2), read=1, blocks="[ 1 ]")
        stored = await store.append("s1", 1, [reply, ToolStarted("call_1", rerun=True)])
        result = ToolFinished("call_1", (Text("12:00"), Media("image/png", "aGk=")), duration_ms=3)
        stored = [*stored, *await store.append("s1", 1, [result])]
        assert [event.seq for event in stored] == [2, 3, 4]
        assert (await store.read("s1"))[1:] == stored
        assert data_of(stored) == [reply, ToolStarted("call_1", rerun=True), result]
        assert await store.read("s1", after=3) == stored[2:]

    @pytest.mark.parametrize("text", ["\x00", "a\x00b", "\U0001f600 é", "\u2028", '"\\', "x" * 5_000_000])
    async def test_any_text_comes_back_whole(self, store: SessionStore, text: str) -> None:
        await store.create(session("s1"))
        (stored,) = await store.append("s1", 0, [NoteAdded(text)])
        assert await store.read("s1") == [stored]
        assert stored.data == NoteAdded(text)

    async def test_a_lone_surrogate_is_replaced_and_nothing_else(self, store: SessionStore) -> None:
        await store.create(session("s1"))
        (stored,) = await store.append("s1", 0, [NoteAdded("a\ud800é")])
        assert stored.data == NoteAdded("a\ufffdé")
        assert await store.read("s1") == [stored]
        assert (await store.submit("s1", "b\udc00")).outcome == "new"
        assert (await store.submit("s1", "b\udc00")).outcome == "resent"

    async def test_arguments_that_are_no_numbers_come_back(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="hello")
        call = ToolCall("call_1", "a__b", {"x": float("inf"), "y": [-float("inf")]})
        await store.append("s1", 1, [ModelReplied(0, (call,), "tool_use", Usage(), read=1)])
        (event,) = await store.read("s1", after=1)
        assert isinstance(event.data, ModelReplied) and event.data.parts == (call,)
        assert (await store.submit("s1", "another")).outcome == "joined"

    async def test_each_append_moves_the_time_of_the_update(self, store: SessionStore) -> None:
        await store.create(session("s1"))
        before = await store.get("s1")
        (event,) = await store.append("s1", 0, [NoteAdded("n")])
        after = await store.get("s1")
        assert after.updated_at == event.at > before.updated_at
        assert (after.created_at, after.head) == (before.created_at, 1)

    async def test_a_long_log_comes_back_in_order(self, store: SessionStore) -> None:
        await store.create(session("s1"))
        stored = await store.append("s1", 1, [NoteAdded(str(number)) for number in range(500)])
        assert await store.read("s1") == stored
        assert await store.read("s1", after=490) == stored[490:]

    async def test_concurrent_appends_leave_no_gap(self, store: SessionStore) -> None:
        await store.create(session("s1"))

        async def append_some(who: int) -> None:
            for number in range(10):
                await store.append("s1", 1, [NoteAdded(f"{who}.{number}")])

        async with anyio.create_task_group() as group:
            for who in range(20):
                group.start_soon(append_some, who)
        events = await store.read("s1")
        assert [event.seq for event in events] == list(range(1, 201))
        texts = [event.data.text for event in events if isinstance(event.data, NoteAdded)]
        assert [text for text in texts if text.startswith("7.")] == [f"7.{number}" for number in range(10)]

    async def test_a_follower_gets_the_past_and_then_what_comes(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="hello")
        await store.append("s1", 1, [NoteAdded("1")])
        async with store.tail("s1", after=1) as tail:
            with anyio.fail_after(5):
                assert data_of(await anext(tail)) == [NoteAdded("1")]
                await store.append("s1", 1, [NoteAdded("2"), NoteAdded("3")])
                assert data_of(await anext(tail)) == [NoteAdded("2"), NoteAdded("3")]

    async def test_a_follower_that_is_cancelled_while_it_waits_misses_nothing(
        self, store: SessionStore
    ) -> None:
        await store.create(session("s1"))
        async with store.tail("s1", after=0) as tail:
            with anyio.move_on_after(0.02):
                await anext(tail)
            await store.append("s1", 1, [NoteAdded(str(number)) for number in range(100)])
            seen: list[Event] = []
            with anyio.CancelScope() as scope:
                scope.cancel()
                seen += await anext(tail)
            with anyio.fail_after(5):
                while len(seen) < 100:
                    seen += await anext(tail)
        assert [event.seq for event in seen] == list(range(1, 101))

    async def test_a_slow_follower_loses_nothing(self, store: SessionStore) -> None:
        await store.create(session("s1"))
        seen: list[int] = []
        async with store.tail("s1", after=0) as tail:
            await store.append("s1", 1, [NoteAdded("first")])
            seen += [event.seq for event in await anext(tail)]
            for _ in range(30):
                await store.append("s1", 1, [NoteAdded("more")] * 100)
            with anyio.fail_after(5):
                while len(seen) < 3001:
                    seen += [event.seq for event in await anext(tail)]
        assert seen == list(range(1, 3002))

    async def test_a_follower_sees_what_another_process_appends(
        self, store: SessionStore, open_store: OpenStore
    ) -> None:
        await store.create(session("s1"))
        async with open_store() as other, store.tail("s1", after=0) as tail:
            with anyio.fail_after(5):
                for number in range(5):
                    writer = other if number % 2 else store
                    await writer.append("s1", 1, [NoteAdded(str(number))])
                    assert data_of(await anext(tail)) == [NoteAdded(str(number))]

    async def test_what_two_processes_append_in_turns_is_followed_in_order(
        self, store: SessionStore, open_store: OpenStore
    ) -> None:
        await store.create(session("s1"))
        seen: list[int] = []

        async def append_some(one: SessionStore) -> None:
            for _ in range(50):
                await one.append("s1", 1, [NoteAdded("n")])

        async with (
            open_store() as other,
            store.tail("s1", after=0) as tail,
            anyio.create_task_group() as group,
        ):
            group.start_soon(append_some, store)
            group.start_soon(append_some, other)
            with anyio.fail_after(10):
                while len(seen) < 100:
                    seen += [event.seq for event in await anext(tail)]
        assert seen == list(range(1, 101))


class Messages:
    """What becomes of a message."""

    async def test_a_message_to_an_idle_session_is_a_new_turn(self, store: SessionStore) -> None:
        await store.create(session("s1"))
        submitted = await store.submit("s1", "one")
        assert (submitted.turn, submitted.outcome) == (1, "new")
        await run_turn(store, "s1", 1)
        submitted = await store.submit("s1", "one")
        assert (submitted.turn, submitted.outcome) == (2, "new")

    @pytest.mark.parametrize("running", [False, True])
    async def test_a_different_message_joins_an_unfinished_turn(
        self, store: SessionStore, running: bool
    ) -> None:
        await store.create(session("s1"), message="one")
        if running:
            await claimed(store, "s1")
        submitted = await store.submit("s1", "two")
        assert (submitted.turn, submitted.outcome) == (1, "joined")
        assert [event.turn for event in await store.read("s1")] == [1, 1]

    async def test_the_same_message_again_is_resent_until_its_turn_is_delivered(
        self, store: SessionStore
    ) -> None:
        await store.create(session("s1"), message="one")
        assert (await store.submit("s1", "one")).outcome == "resent"
        await run_turn(store, "s1", 1, delivered=False)
        submitted = await store.submit("s1", "one")
        assert (submitted.turn, submitted.outcome) == (1, "resent")
        head = (await store.get("s1")).head
        await store.append("s1", 1, [TurnDelivered()])
        assert (await store.submit("s1", "one")).outcome == "new"
        assert (await store.get("s1")).head == head + 2

    async def test_only_the_newest_message_of_a_turn_is_resent(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="one")
        await store.submit("s1", "two")
        assert (await store.submit("s1", "two")).outcome == "resent"
        assert (await store.submit("s1", "one")).outcome == "joined"

    async def test_a_closed_session_takes_no_message(self, store: SessionStore) -> None:
        await store.create(session("s1"))
        await store.append("s1", 0, [SessionClosed()])
        with pytest.raises(SessionClosedError, match="s1"):
            await store.submit("s1", "hello")

    async def test_the_twenty_first_held_message_is_refused(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="the one that opens the turn")
        claim = await claimed(store, "s1")
        for number in range(20):
            await store.submit("s1", str(number))
        with pytest.raises(SessionBusyError, match="20 messages"):
            await store.submit("s1", "one more")
        await store.append("s1", 1, [replied(read=6)], epoch=claim.epoch)
        for number in range(5):
            assert (await store.submit("s1", f"again {number}")).outcome == "joined"
        with pytest.raises(SessionBusyError):
            await store.submit("s1", "one more")

    async def test_messages_that_a_cancel_dropped_no_longer_count(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="0")
        for number in range(1, 20):
            await store.submit("s1", str(number))
        await store.seize("s1", 1, [TurnEnded("cancelled")])
        assert (await store.submit("s1", "new")).outcome == "new"
        for number in range(20):
            assert (await store.submit("s1", f"more {number}")).outcome == "joined"
        with pytest.raises(SessionBusyError):
            await store.submit("s1", "one more")

    @pytest.mark.parametrize("attempt", range(3))
    async def test_a_message_falls_into_exactly_one_turn_however_close_to_its_end(
        self, store: SessionStore, open_store: OpenStore, attempt: int
    ) -> None:
        """Submitters and runners in two processes race; each message is read by the model exactly once."""
        await store.create(session("s1"))
        messages = {f"{who}.{number}" for who in range(4) for number in range(5)}  # at most 20 may wait
        read: list[str] = []

        async def submit(one: SessionStore, who: int) -> None:
            for number in range(5):
                await one.submit("s1", f"{who}.{number}")
                await anyio.sleep(0.001 * who)

        async def run_all(one: SessionStore) -> None:
            folded = 0
            while len(read) < len(messages):
                for ref in await one.unfinished():
                    claim = await one.claim(ref.session_id, ref.turn)
                    while claim is not None:
                        for event in await one.read("s1"):
                            if isinstance(event.data, UserMessageAdded) and event.data.text not in read:
                                read.append(event.data.text)
                            folded = event.seq
                        await one.append("s1", claim.turn, [replied(read=folded)], epoch=claim.epoch)
                        ended = [TurnEnded("end_turn")]
                        if await one.end_turn(claim, ended, unread_after=folded):
                            await one.append("s1", claim.turn, [TurnDelivered()])
                            break
                await anyio.sleep(0.001)

        async with open_store() as other:
            with anyio.fail_after(20):
                async with anyio.create_task_group() as group:
                    for who in range(4):
                        group.start_soon(submit, (store, other)[who % 2], who)
                    group.start_soon(run_all, store)
                    group.start_soon(run_all, other)
        assert sorted(read) == sorted(messages)
        assert await store.count_unfinished() == 0


class Turns:
    """Claiming, ending, taking over."""

    async def test_a_claimed_turn_is_nobody_elses(self, store: SessionStore, open_store: OpenStore) -> None:
        await store.create(session("s1"), message="hello")
        claim = await claimed(store, "s1")
        assert (claim.session_id, claim.turn, claim.attempts) == ("s1", 1, 1)
        async with open_store() as other:
            assert other.owner != store.owner
            assert await other.claim("s1", 1) is None
            assert await other.unfinished() == []
        assert await store.count_unfinished() == 1

    async def test_a_process_may_claim_its_own_turn_anew_which_ends_its_first_claim(
        self, store: SessionStore
    ) -> None:
        await store.create(session("s1"), message="hello")
        first = await claimed(store, "s1")
        assert [ref.session_id for ref in await store.unfinished()] == ["s1"]
        second = await claimed(store, "s1")
        assert second.epoch > first.epoch
        with pytest.raises(FencedError):
            await store.append("s1", 1, [NoteAdded("late")], epoch=first.epoch)

    async def test_an_ended_turn_cannot_be_claimed(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="hello")
        await run_turn(store, "s1", 1)
        assert await store.claim("s1", 1) is None
        assert await store.claim("s1", 2) is None
        assert await store.unfinished() == []

    async def test_a_turn_waits_for_the_one_before_it(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="one")
        first = await claimed(store, "s1")
        await store.submit("s1", "two")
        await store.end_turn(first, [TurnEnded("max_steps")], unread_after=1, reopen=True)
        await store.seize("s1", 2, [TurnEnded("cancelled")])
        assert (await store.submit("s1", "three")).turn == 3
        await claimed(store, "s1", 3)

    async def test_a_dead_owners_turn_is_free_and_its_old_runner_fenced_off(
        self, store: SessionStore, open_store: OpenStore
    ) -> None:
        await store.create(session("s1"), message="hello")
        async with open_store() as other:
            zombie = await claimed(other, "s1")
        (ref,) = await store.unfinished()
        assert (ref.session_id, ref.turn, ref.status) == ("s1", 1, "running")
        claim = await claimed(store, "s1")
        assert claim.epoch > zombie.epoch
        with pytest.raises(FencedError):
            await store.append("s1", 1, [NoteAdded("late")], epoch=zombie.epoch)
        with pytest.raises(FencedError):
            await store.end_turn(zombie, ENDED, unread_after=None)
        await store.append("s1", 1, [NoteAdded("mine")], epoch=claim.epoch)
        assert data_of(await store.read("s1")) == [UserMessageAdded("hello"), NoteAdded("mine")]

    async def test_a_claim_that_its_process_repeats_counts_once(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="hello")
        assert [(await claimed(store, "s1")).attempts for _ in range(5)] == [1] * 5

    async def test_claims_without_progress_are_counted(
        self, store: SessionStore, open_store: OpenStore
    ) -> None:
        await store.create(session("s1"), message="hello")
        attempts: list[int] = []
        for progress in (False, False, True, False):
            async with open_store() as process:
                claim = await claimed(process, "s1")
                attempts.append(claim.attempts)
                if progress:
                    await process.append("s1", 1, [NoteAdded("done something")], epoch=claim.epoch)
        assert attempts == [1, 2, 3, 1]

    async def test_a_turn_does_not_end_before_an_unread_message(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="one")
        claim = await claimed(store, "s1")
        await store.submit("s1", "two")
        assert not await store.end_turn(claim, ENDED, unread_after=1)
        assert (await store.get("s1")).head == 2
        assert await store.end_turn(claim, ENDED, unread_after=2)
        assert data_of(await store.read("s1", after=2)) == list(ENDED)
        assert await store.count_unfinished() == 0

    async def test_a_turn_that_must_end_leaves_the_unread_to_a_new_one(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="one")
        claim = await claimed(store, "s1")
        await store.submit("s1", "two")
        assert await store.end_turn(claim, [TurnEnded("budget")], unread_after=1, reopen=True)
        assert [(ref.turn, ref.status) for ref in await store.unfinished()] == [(2, "queued")]
        assert (await store.submit("s1", "two")).outcome == "resent"
        second = await claimed(store, "s1", 2)
        assert await store.end_turn(second, ENDED, unread_after=3, reopen=True)
        assert await store.unfinished() == []

    async def test_a_turn_ends_once(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="one")
        claim = await claimed(store, "s1")
        assert await store.end_turn(claim, ENDED, unread_after=None)
        with pytest.raises(FencedError):
            await store.end_turn(claim, ENDED, unread_after=None)
        assert not await store.seize("s1", 1, ENDED)
        assert data_of(await store.read("s1", after=1)) == list(ENDED)

    async def test_a_seized_turn_is_over_for_its_runner(
        self, store: SessionStore, open_store: OpenStore
    ) -> None:
        await store.create(session("s1"), message="one")
        claim = await claimed(store, "s1")
        async with open_store() as other:
            assert await other.seize("s1", 1, [TurnEnded("cancelled")])
            assert not await other.seize("s1", 1, [TurnEnded("cancelled")])
            assert not await other.seize("s1", 2, [TurnEnded("cancelled")])
        with pytest.raises(FencedError):
            await store.append("s1", 1, [NoteAdded("late")], epoch=claim.epoch)
        with pytest.raises(FencedError):
            await store.end_turn(claim, ENDED, unread_after=None)
        assert data_of(await store.read("s1", after=1)) == [TurnEnded("cancelled")]
        assert await store.unfinished() == []

    async def test_a_turn_is_seized_only_by_who_knows_its_whole_log(self, store: SessionStore) -> None:
        await store.create(session("s1"), message="one")
        claim = await claimed(store, "s1")
        await store.append("s1", 1, [NoteAdded("news")], epoch=claim.epoch)
        assert not await store.seize("s1", 1, ENDED, head=1)
        await store.append("s1", 1, [NoteAdded("still ours")], epoch=claim.epoch)
        assert await store.seize("s1", 1, ENDED, head=3)

    async def test_unfinished_names_the_first_turn_of_each_session_longest_waiting_first(
        self, store: SessionStore
    ) -> None:
        for number in (2, 1, 3):
            await store.create(session(f"s{number}"), message="hello")
        await claimed(store, "s1")
        queued = [ref.session_id for ref in await store.unfinished() if ref.owner is None]
        assert queued == ["s2", "s3"]
        assert await store.count_unfinished() == 3

    async def test_each_principal_has_counts_of_its_own(self, store: SessionStore) -> None:
        for number, principal in enumerate(("ada", "ada", "ada", "bob", "")):
            message = "hello" if number else None
            await store.create(NewSession(f"s{number}", Profile(), principal=principal), message=message)
        await store.append("s2", 0, [SessionClosed()])
        assert [await store.count_open(each) for each in ("ada", "bob", "", "eve")] == [2, 1, 1, 0]
        listed = [await store.list(principal=each, limit=9) for each in ("ada", "bob", "", "eve", None)]
        assert [len(page) for page in listed] == [3, 1, 1, 0, 5]
        assert [await store.count_unfinished(each) for each in ("ada", "bob", "", "eve", None)] == [
            2,
            1,
            1,
            0,
            4,
        ]


class StoreContract(Sessions, Log, Messages, Turns):
    """All of it."""
