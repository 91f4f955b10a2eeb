"""The questions that every message and every sweep asks are answered from indexes."""

from pathlib import Path

import pytest

from agent_mcp.store import queries
from agent_mcp.store.connect import connect_reader
from tests.store.conftest import make_database


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        (queries.SUBMIT_STATE, ("s",)),
        (queries.NEWEST_REPLY, ("s",)),
        (queries.LAST_END, ("s",)),
        (queries.COUNT_MESSAGES_AFTER, ("s", 0)),
        (queries.HAS_MESSAGE_AFTER, ("s", 0)),
        (queries.CLAIM_STATE, ("s", 1)),
        (queries.HOLDS_CLAIM, ("s", 1, 1)),
        (queries.EVENTS, ("s", 0)),
    ],
)
def test_no_table_is_scanned(tmp_path: Path, sql: str, parameters: tuple[object, ...]) -> None:
    steps = plan(tmp_path / "s.db", sql, parameters)
    assert not [step for step in steps if step.startswith("SCAN") and "CONSTANT ROW" not in step], steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps


@pytest.mark.parametrize("sql", [queries.UNFINISHED, queries.COUNT_UNFINISHED])
def test_ended_turns_cost_a_sweep_nothing(tmp_path: Path, sql: str) -> None:
    steps = plan(tmp_path / "s.db", sql, ())
    scans = [step for step in steps if step.startswith("SCAN") and "turns" in step]
    assert scans and all("turns_unfinished" in step for step in scans), steps


def plan(path: Path, sql: str, parameters: object) -> list[str]:
    """What SQLite says it would do."""
    make_database(path)
    connection = connect_reader(path)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()  # pyright: ignore[reportArgumentType]
    connection.close()
    return [detail for *_, detail in rows]
