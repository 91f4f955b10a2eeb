"""Definitions compared with those of their first use, through the real store and runner."""

from pathlib import Path

import anyio
import pytest

from agent_mcp.sessions.offers import Offer
from agent_mcp.sessions.pinning import Changes, PinBook, entry_of
from agent_mcp.sessions.profile import ApprovalRules, Profile, ServerTrust
from agent_mcp.sessions.start import StartRequest
from agent_mcp.store.open import open_store
from tests.support.world import FunctionTools, calls, open_world, says

pytestmark = pytest.mark.anyio

ASK = {"docs": ServerTrust(pins="ask")}


def offer(**digests: str) -> list[Offer]:
    return [Offer("docs", digests)]


async def test_what_is_new_or_changed_is_said_until_it_is_accepted(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'pins.db'}") as store:
        book = PinBook(store, "config.json")
        assert await book.compare(offer(get="1"), {}) == Changes()
        changed = offer(get="2", put="3")
        for _ in range(2):
            changes = await book.compare(changed, {})
            assert changes.to_approve == ()
            (notice,) = changes.notices
            assert "get, put" in notice and "agent-mcp approvals pins accept docs" in notice
        await store.accept_pins(entry_of("config.json", "docs"))
        assert await book.compare(changed, {}) == Changes()


async def test_the_policy_of_the_entry_decides_what_a_change_leads_to(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'pins.db'}") as store:
        book = PinBook(store, "c")
        await book.compare(offer(get="1"), {})
        changed = offer(get="2")
        assert (await book.compare(changed, ASK)).to_approve == ("docs__get",)
        assert await book.compare(changed, {"docs": ServerTrust(pins="off")}) == Changes()
        assert await PinBook(store, "another config").compare(changed, ASK) == Changes()


async def test_of_many_changes_a_few_are_named(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'pins.db'}") as store:
        book = PinBook(store, "c")
        await book.compare(offer(t0="1"), {})
        (notice,) = (await book.compare(offer(**{f"t{n}": "2" for n in range(12)}), {})).notices
    assert "and 7 more" in notice


async def test_the_same_listing_is_compared_once(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'pins.db'}") as store:
        book, same = PinBook(store, "c"), offer(get="1")
        await book.compare(same, {})
        await store.pin(entry_of("c", "docs"), {"get": "another process saw this"})
        assert await book.compare(same, {}) == Changes()


async def test_a_changed_tool_is_asked_about_whatever_allows_it_and_a_grant_from_before_does_not_count(
    tmp_path: Path,
) -> None:
    async def look(arguments: dict[str, object]) -> str:
        return "seen"

    trust = {"t": ServerTrust(pins="ask")}
    rules = ApprovalRules(allow=("t__look",), off=True)
    profile = Profile(agent="a", model="plan", servers=("t",), approvals=rules, trust=trust)
    tools = FunctionTools({"look": look})
    plan = (calls(("t__look", {})), says("one"), calls(("t__look", {})), calls(("t__look", {})), says("two"))
    with anyio.fail_after(20):
        async with open_world(tmp_path, *plan, profile=profile, tools=tools) as w:
            tools.offers = [Offer("t", {"look": "1"})]
            first = await w.service.start(StartRequest(message="go"), session_id="s", wait_seconds=10)
            tools.offers = [Offer("t", {"look": "2"})]
            second = await w.service.send("s", "again", wait_seconds=10)
            (call,) = second.approvals
            third = await w.service.approve("s", call.call.id, "allow", scope="session", wait_seconds=10)
    assert (first.text, first.warnings, second.status) == ("one", [], "needs_approval")
    assert call.rule == "pins: the definition of t__look is not that of its first use"
    assert any("not defined as at its first use: look" in warning for warning in second.warnings)
    assert (third.text, len(tools.called)) == ("two", 3)
    # It is for people: the model is told nothing of it.
    assert "first use" not in str(w.model.requests[-1].history)


@pytest.mark.parametrize(
    ("trust", "status"), [({"t": ServerTrust(pins="ask")}, "needs_approval"), ({}, "idle")]
)
async def test_a_grant_for_a_tool_ends_where_a_change_of_its_definition_is_asked_about(
    tmp_path: Path, trust: dict[str, ServerTrust], status: str
) -> None:
    async def look(arguments: dict[str, object]) -> str:
        return "seen"

    rules = ApprovalRules(ask=("t__look",))
    profile = Profile(agent="a", model="plan", servers=("t",), approvals=rules, trust=trust)
    tools = FunctionTools({"look": look})
    plan = (calls(("t__look", {})), says("one"), calls(("t__look", {})), says("two"))
    with anyio.fail_after(20):
        async with open_world(tmp_path, *plan, profile=profile, tools=tools) as w:
            tools.offers = [Offer("t", {"look": "1"})]
            first = await w.service.start(StartRequest(message="go"), session_id="s", wait_seconds=10)
            (call,) = first.approvals
            await w.service.approve("s", call.call.id, "allow", scope="session", wait_seconds=10)
            tools.offers = [Offer("t", {"look": "2"})]
            second = await w.service.send("s", "again", wait_seconds=10)
    assert second.status == status
