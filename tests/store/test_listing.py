"""Pages of a list are read from an index, whatever is asked for; stores from before it learn what it needs."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent_mcp.sessions.events import SessionClosed
from agent_mcp.sessions.ports import ListedStatus
from agent_mcp.store.connect import connect_reader
from agent_mcp.store.listing import Wanted, page_sql
from agent_mcp.store.open import open_store
from tests.contracts.store_contract import session
from tests.store.conftest import make_database

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [None, "idle", "closed"])
@pytest.mark.parametrize("query", ["", "word"])
def test_a_page_is_read_in_the_order_of_its_index(
    path: Path, status: ListedStatus | None, query: str
) -> None:
    steps = plan(path, Wanted("ada", query, status, 20, (1.0, "s")))
    chosen = [step for step in steps if "sessions_listed" in step]
    assert len(chosen) == (2 if status is None else 1), steps
    assert all("COVERING INDEX sessions_listed (principal=? AND closed=?" in step for step in chosen), steps
    assert not [step for step in steps if step.startswith("SCAN sessions")], steps


def test_unfinished_sessions_are_found_by_their_turns(path: Path) -> None:
    steps = plan(path, Wanted("ada", "", "unfinished", 20, None))
    assert not [step for step in steps if "SCAN" in step and "turns_unfinished" not in step], steps
    assert not [step for step in steps if "sessions_listed" in step], steps


def plan(path: Path, wanted: Wanted) -> list[str]:
    """What SQLite says it would do."""
    make_database(path)
    parameters = {"principal": "ada", "query": "", "limit": 1, "before_at": 1.0, "before_id": "s"}
    with closing(connect_reader(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {page_sql(wanted)}", parameters).fetchall()
    return [detail for *_, detail in rows if not detail.startswith("SCAN (subquery")]


async def test_sessions_from_before_the_index_are_listed_and_found(path: Path) -> None:
    async with open_store(f"sqlite:///{path}") as store:
        await store.create(session("a", agent="Scout"), message="  Straße \n nach Norden ")
        await store.create(session("b"))
        await store.create(session("c"), message="closed")
        await store.append("c", 0, [SessionClosed()])
    as_before_the_index(path)
    async with open_store(f"sqlite:///{path}") as store:
        titles = {line.id: (line.title, line.closed) for line in await store.list(limit=9)}
        found = [line.id for line in await store.list(query="STRASSE nach", limit=9)]
        assert [line.id for line in await store.list(status="closed", limit=9)] == ["c"]
        assert [line.id for line in await store.list(query="SCOUT", limit=9)] == ["a"]
    assert titles == {"a": ("Straße nach Norden", False), "b": ("", False), "c": ("closed", True)}
    assert found == ["a"]


def as_before_the_index(path: Path) -> None:
    """Take back what the migration did."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP INDEX sessions_listed")
        for column in ("closed", "title", "sought"):
            connection.execute(f"ALTER TABLE sessions DROP COLUMN {column}")
        connection.execute("UPDATE meta SET schema_version = 4")
