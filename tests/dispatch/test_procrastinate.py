"""Turns on a queue in PostgreSQL: any replica serves any session, one worker at a time runs its turn."""

import time
from pathlib import Path

import anyio
import pytest

from agent_mcp.sessions.start import StartRequest
from tests.support.postgres import requires_postgres
from tests.support.replicas import faults, open_replica

pytestmark = [pytest.mark.anyio]


@requires_postgres
async def test_a_turn_of_one_replica_is_run_by_another_and_followed_here(
    database_url: str, tmp_path: Path
) -> None:
    with anyio.fail_after(20):
        async with (
            open_replica(database_url, tmp_path, "worker", works=True),
            open_replica(database_url, tmp_path, "server") as here,
        ):
            began = time.monotonic()
            report = await here.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=10)
            print("took", time.monotonic() - began)
            log = await here.store.read("s1")
    assert report.stop_reason == "end_turn" and report.text == "Done."
    assert faults("s1", log, tmp_path) == []
