"""What every `SessionStore` must do with what is spent in a day. A store's own test file subclasses it.

It needs the fixtures of `StoreContract`.
"""

import time
from dataclasses import replace

import anyio
import pytest

from agent_mcp.agent.messages import Usage
from agent_mcp.agent.spending import Spent
from agent_mcp.errors import FencedError
from agent_mcp.sessions.events import NoteAdded
from agent_mcp.sessions.ports import Charge, NewSession, SessionStore
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.spending import day_of, of_reply
from tests.contracts.store_contract import OpenStore

ONE = replace(of_reply(Usage(10, 5, cost_usd=0.25), seconds=1.5), tool_calls=2)


def charge(*, principal: str = "ada", agent: str = "a", spent: Spent = ONE) -> Charge:
    """What a reply brings."""
    return Charge(principal, agent, spent)


async def pay(store: SessionStore, session_id: str, given: Charge, *, epoch: int | None = None) -> None:
    """Something is written down that was spent."""
    await store.append(session_id, 1, [NoteAdded("spent")], epoch=epoch, charge=given)


class SpendingContract:
    """The figures of a day."""

    async def test_what_is_charged_adds_up_by_principal_and_agent(self, store: SessionStore) -> None:
        await store.create(NewSession("s1", Profile()))
        await store.create(NewSession("s2", Profile()))
        for session_id, given in (("s1", charge()), ("s2", charge()), ("s1", charge(agent="b"))):
            await pay(store, session_id, given)
        await pay(store, "s1", charge(principal="bob"))
        today = day_of(time.time())
        assert await store.spent(today, principal="ada", agent="a") == ONE.plus(ONE)
        assert await store.spent(today, principal="ada") == ONE.plus(ONE).plus(ONE)
        assert await store.spent(today, principal="bob") == ONE

    async def test_another_day_another_principal_and_nothing_charged_are_zero(
        self, store: SessionStore
    ) -> None:
        await store.create(NewSession("s1", Profile()), message="hi")
        await pay(store, "s1", charge())
        await store.append("s1", 1, [NoteAdded("for nothing")])
        assert await store.spent("2020-02-29", principal="ada") == Spent()
        assert await store.spent(day_of(time.time()), principal="") == Spent()
        assert await store.spent(day_of(time.time()), principal="ada") == ONE

    async def test_what_is_not_written_is_not_charged(self, store: SessionStore) -> None:
        await store.create(NewSession("s1", Profile()), message="hi")
        claim = await store.claim("s1", 1)
        assert claim is not None
        await store.claim("s1", 1)
        with pytest.raises(FencedError):
            await pay(store, "s1", charge(), epoch=claim.epoch)
        assert await store.spent(day_of(time.time()), principal="ada") == Spent()

    async def test_the_figures_outlive_the_session_and_know_no_unpriced_replies(
        self, store: SessionStore
    ) -> None:
        await store.create(NewSession("s1", Profile()))
        await pay(store, "s1", charge(agent="", spent=replace(ONE, unpriced=1)))
        await store.delete("s1")
        assert await store.spent(day_of(time.time()), principal="ada", agent="") == ONE

    async def test_processes_that_spend_at_once_lose_nothing(
        self, store: SessionStore, open_store: OpenStore
    ) -> None:
        async def spend(own: SessionStore, session_id: str) -> None:
            await own.create(NewSession(session_id, Profile()))
            for _ in range(10):
                await pay(own, session_id, charge())

        async with open_store() as other, anyio.create_task_group() as group:
            for index in range(6):
                group.start_soon(spend, (store, other)[index % 2], f"s{index}")
        spent = await store.spent(day_of(time.time()), principal="ada")
        assert (spent.steps, spent.tokens, spent.cost_usd) == (60, 900, 15.0)
