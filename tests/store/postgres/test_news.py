"""Followers where notifications are lost, or never come: the poll finds what was not told."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from agent_mcp.sessions.events import EventData, NoteAdded
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.store.open import open_store
from agent_mcp.store.postgres import news, queries
from tests.contracts.store_contract import data_of, session
from tests.support.postgres import requires_postgres

pytestmark = pytest.mark.anyio

SILENCE = "SELECT %(sessions)b::text[]"


@asynccontextmanager
async def following(store: SessionStore) -> AsyncGenerator[list[EventData]]:
    """All that a follower has heard, who waits for more all the time."""
    heard: list[EventData] = []

    async def follow() -> None:
        async with store.tail("s1", after=0) as tail:
            async for events in tail:
                heard.extend(data_of(events))

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        yield heard
        group.cancel_scope.cancel()


async def until_heard(heard: list[EventData], *texts: str) -> None:
    """Return when these notes have been."""
    while heard != [NoteAdded(text) for text in texts]:
        await anyio.sleep(0.01)


@requires_postgres
async def test_a_notification_that_was_lost_is_made_up_for_by_the_poll(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queries, "TELL", SILENCE)
    monkeypatch.setattr(news, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(news, "DEAF_POLL_SECONDS", 0.05)
    with anyio.fail_after(10):
        async with open_store(database_url) as store, open_store(database_url) as other:
            await store.create(session("s1"))
            async with following(store) as heard:
                for number in range(4):
                    await other.append("s1", 0, [NoteAdded(str(number))])
                    await until_heard(heard, *map(str, range(number + 1)))
    assert not caplog.records


@requires_postgres
async def test_where_notifications_do_not_come_that_is_said_and_the_poll_is_quicker(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As behind PgBouncer in transaction mode: LISTEN succeeds and nothing follows."""
    monkeypatch.setattr(queries, "CHANNEL", "nobody_tells_here")
    monkeypatch.setattr(news, "_PROBE_SECONDS", 0.1)
    monkeypatch.setattr(news, "POLL_SECONDS", 60.0)
    with anyio.fail_after(10):
        async with open_store(database_url) as store, open_store(database_url) as other:
            await store.create(session("s1"))
            async with following(store) as heard:
                while "do not arrive" not in caplog.text:
                    await anyio.sleep(0.01)
                await other.append("s1", 0, [NoteAdded("a")])
                with anyio.fail_after(4 * news.DEAF_POLL_SECONDS):
                    await until_heard(heard, "a")
    assert "a pool in session mode" in caplog.text


@requires_postgres
async def test_what_was_just_written_is_told_before_a_process_ends(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "POLL_SECONDS", 60.0)
    monkeypatch.setattr(news, "DEAF_POLL_SECONDS", 0.05)
    with anyio.fail_after(10):
        async with open_store(database_url) as store:
            await store.create(session("s1"))
            async with following(store) as heard, open_store(database_url) as first:
                await first.append("s1", 0, [NoteAdded("a")])
                await until_heard(heard, "a")
                async with open_store(database_url) as other:
                    await other.append("s1", 0, [NoteAdded("b")])
                await until_heard(heard, "a", "b")
