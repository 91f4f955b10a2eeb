"""What one principal may have at once: sessions and running turns, and how it gets room again."""

from pathlib import Path

import anyio
import pytest

from agent_mcp.agent.messages import Reply
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.errors import PublicError, SessionBusyError, StoreError
from agent_mcp.sessions import room
from agent_mcp.sessions.room import ServiceLimits
from agent_mcp.sessions.service import SessionService
from agent_mcp.sessions.start import StartRequest
from tests.support.world import open_world, says

pytestmark = pytest.mark.anyio


async def begin(service: SessionService, session_id: str, message: str | None = None) -> None:
    """Start a session and wait for nothing."""
    await service.start(StartRequest(message=message), session_id=session_id, wait_seconds=0)


async def test_a_principal_at_its_limit_of_sessions_closes_one_to_start_another(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, says("hi"), limits=ServiceLimits(sessions_each=2)) as w:
            ada, bob = w.service.for_principal("ada"), w.service.for_principal("bob")
            await begin(ada, "a1")
            await begin(ada, "a2")
            with pytest.raises(SessionBusyError) as refused:
                await begin(ada, "a3")
            assert "2 open sessions" in refused.value.message and "close_session" in refused.value.hint
            with pytest.raises(SessionBusyError):
                await ada.fork("a1", at_step=None)
            await begin(bob, "b1")
            await begin(ada, "a1")  # The same start again makes nothing new.
            await ada.close("a1")
            await begin(ada, "a3")


async def test_a_principal_at_its_limit_of_turns_leaves_the_others_room(tmp_path: Path) -> None:
    done = anyio.Event()

    async def wait(request: ModelRequest) -> Reply:
        await done.wait()
        return says("hi")

    with anyio.fail_after(10):
        async with open_world(tmp_path, wait, limits=ServiceLimits(running_turns_each=1)) as w:
            ada, bob = w.service.for_principal("ada"), w.service.for_principal("bob")
            await begin(ada, "a1", "go")
            with pytest.raises(SessionBusyError) as refused:
                await begin(ada, "a2", "go")
            assert "1 turns of yours" in refused.value.message and "cancel" in refused.value.hint
            await ada.send("a1", "and this", wait_seconds=0)  # Joins the turn that runs.
            await begin(bob, "b1", "go")
            done.set()
            await ada.send("a1", None, wait_seconds=5)
            await begin(ada, "a2", "go")


async def test_many_at_once_do_not_pass_the_limit(tmp_path: Path) -> None:
    refused: list[PublicError] = []

    async def try_one(service: SessionService, number: int) -> None:
        try:
            await begin(service, f"s{number}")
        except SessionBusyError as error:
            refused.append(error)

    with anyio.fail_after(10):
        async with open_world(tmp_path, says("hi"), limits=ServiceLimits(sessions_each=5)) as w:
            ada = w.service.for_principal("ada")
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(try_one, ada, number)
            assert len(refused) == 25
            page = await ada.list(status=None, query="", limit=100, cursor=None)
            assert len(page.sessions) == 5


async def test_an_id_that_somebody_else_has_is_taken_and_no_more_is_said(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, says("hi")) as w:
            await begin(w.service.for_principal("ada"), "s")
            with pytest.raises(PublicError) as refused:
                await begin(w.service.for_principal("bob"), "s")
            assert refused.value.code == "SESSION_EXISTS"


async def test_a_store_with_as_many_sessions_as_it_may_have_takes_no_other(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with open_world(tmp_path, says("hi"), limits=ServiceLimits(stored_sessions=2)) as w:
            await begin(w.service.for_principal("ada"), "a1")
            await begin(w.service, "s2", "go")
            with pytest.raises(SessionBusyError) as refused:
                await begin(w.service, "s3")
            assert "holds 2 sessions" in refused.value.message
            assert "sessions prune" in refused.value.hint and "server.max_sessions" in refused.value.hint
            await w.service.send("s2", "more", wait_seconds=5)


async def test_a_full_store_takes_no_session_and_no_turn_and_lets_what_runs_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "SIZE_SECONDS", 0.0)
    done = anyio.Event()

    async def wait(request: ModelRequest) -> Reply:
        await done.wait()
        return says("x" * 2_000_000)

    with anyio.fail_after(10):
        async with open_world(tmp_path, wait, limits=ServiceLimits(store_bytes=1_500_000)) as w:
            await begin(w.service, "s1", "go")
            await begin(w.service, "s2", "go")
            done.set()
            ended = [await w.service.send(name, None, wait_seconds=5) for name in ("s1", "s2")]
            assert [report.stop_reason for report in ended] == ["end_turn", "end_turn"]
            for report in ended:
                await w.service.delivered(report)
            for refused_call in (begin(w.service, "s3"), w.service.send("s1", "more", wait_seconds=0)):
                with pytest.raises(StoreError) as refused:
                    await refused_call
                assert "1500000 is the limit" in refused.value.message
                assert "sessions prune" in refused.value.hint
                assert "server.max_store_bytes" in refused.value.hint
