"""Followers where notifications are lost, or never come: the poll finds what was not told."""

import anyio
import pytest

from agent_mcp.sessions.events import NoteAdded
from agent_mcp.store.open import open_store
from agent_mcp.store.postgres import news, queries
from tests.contracts.store_contract import data_of, session
from tests.support.postgres import requires_postgres

pytestmark = pytest.mark.anyio

SILENCE = "SELECT %(sessions)b::text[]"


@requires_postgres
async def test_a_notification_that_was_lost_is_made_up_for_by_the_poll(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queries, "TELL", SILENCE)
    monkeypatch.setattr(news, "POLL_SECONDS", 0.3)
    monkeypatch.setattr(news, "DEAF_POLL_SECONDS", 0.05)
    with anyio.fail_after(10):
        async with open_store(database_url) as store, open_store(database_url) as other:
            await store.create(session("s1"))
            async with store.tail("s1", after=0) as tail:
                for number in range(2):
                    await other.append("s1", 0, [NoteAdded(str(number))])
                    assert data_of(await anext(tail)) == [NoteAdded(str(number))]
    assert not caplog.records


@requires_postgres
async def test_where_notifications_do_not_come_that_is_said_and_the_poll_is_quicker(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As behind PgBouncer in transaction mode: LISTEN succeeds and nothing follows."""
    monkeypatch.setattr(queries, "CHANNEL", "nobody_tells_here")
    monkeypatch.setattr(news, "_PROBE_SECONDS", 0.2)
    monkeypatch.setattr(news, "POLL_SECONDS", 60.0)
    with anyio.fail_after(10):
        async with open_store(database_url) as store, open_store(database_url) as other:
            await store.create(session("s1"))
            async with store.tail("s1", after=0) as tail:
                await store.append("s1", 0, [NoteAdded("here")])
                await anext(tail)
                while "do not arrive" not in caplog.text:
                    await anyio.sleep(0.02)
                await other.append("s1", 0, [NoteAdded("a")])
                with anyio.fail_after(3 * news.DEAF_POLL_SECONDS):
                    assert data_of(await anext(tail)) == [NoteAdded("a")]
    assert "a pool in session mode" in caplog.text


@requires_postgres
async def test_what_was_just_written_is_told_before_a_process_ends(database_url: str) -> None:
    with anyio.fail_after(10):
        async with open_store(database_url) as store:
            await store.create(session("s1"))
            async with store.tail("s1", after=0) as tail:
                await store.append("s1", 0, [NoteAdded("here")])
                assert data_of(await anext(tail)) == [NoteAdded("here")]
                async with open_store(database_url) as other:
                    await other.append("s1", 0, [NoteAdded("there")])
                with anyio.fail_after(2):
                    assert data_of(await anext(tail)) == [NoteAdded("there")]
