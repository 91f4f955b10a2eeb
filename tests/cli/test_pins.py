"""Pinned definitions on the command line: shown, accepted, and checked by `doctor`."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent_mcp.agent.tools import Tool
from agent_mcp.cli.findings import Finding
from agent_mcp.cli.pins import accept_pins, check_pins, show_pins
from agent_mcp.config.paths import identity_of
from agent_mcp.config.schema import Config, ServerEntry
from agent_mcp.downstream.hub import ServerReport
from agent_mcp.errors import InvalidArgumentError
from agent_mcp.sessions.offers import Offer
from agent_mcp.sessions.pinning import entry_of
from agent_mcp.store.open import open_store

pytestmark = pytest.mark.anyio


def report(**digests: str) -> Mapping[str, ServerReport]:
    tools = tuple(Tool(f"docs__{name}", "Now\x1b[2J\notherwise.", {}, "docs", name) for name in digests)
    offer = Offer("docs", digests)
    return {"docs": ServerReport("docs", (), (), None, 0.1, listed=tools, offer=offer)}


async def found(config: Config, reports: Mapping[str, ServerReport]) -> list[Finding]:
    return [*await check_pins(config, {}, reports)]


async def test_what_doctor_sees_differ_can_be_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, path = f"sqlite:///{tmp_path / 's.db'}", tmp_path / "config.json"
    config = Config(path=str(path), store=url, servers={"docs": ServerEntry(command="x")})
    # A server that no session has used is not pinned by a look at it.
    assert await found(config, report(get="1")) == []
    async with open_store(url) as store:
        assert await store.pinned_entries() == []
        await store.pin(entry_of(identity_of(str(path)), "docs"), {"get": "1"})
    assert await found(config, report(get="1")) == []
    (warning,) = await found(config, report(get="2", put="3"))
    assert (warning.level, warning.subject) == ("WARN", "server docs")
    assert warning.details == ("get (changed): Now?[2J otherwise.", "put (new): Now?[2J otherwise.")
    assert warning.fix.endswith("agent-mcp approvals pins accept docs")
    async with open_store(url) as store:
        await show_pins(store, config)
        assert "docs: get has changed\ndocs: put is new\n" in capsys.readouterr().out
        await accept_pins(store, config, "docs")
        await accept_pins(store, config, "docs")
        assert capsys.readouterr().out == (
            "accepted docs: get\naccepted docs: put\n"
            "nothing to accept: every tool of docs that was seen is as at its first use\n"
        )
        await show_pins(store, config)
        assert capsys.readouterr().out == "every tool is defined as at its first use\n"
        with pytest.raises(InvalidArgumentError, match="no server dosc"):
            await accept_pins(store, config, "dosc")
    assert await found(config, report(get="2", put="3")) == []


async def test_an_entry_that_switches_pins_off_is_not_checked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    config = Config(store=url, servers={"docs": ServerEntry(command="x", pins="off")})
    async with open_store(url) as store:
        await store.pin(entry_of("", "docs"), {"get": "1"})
    assert await found(config, report(get="2")) == []


async def test_a_store_that_cannot_be_used_is_the_stores_own_finding(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("no database")
    config = Config(store=f"sqlite:///{tmp_path / 's.db'}", servers={"docs": ServerEntry(command="x")})
    assert await found(config, report(get="2")) == []


def test_a_config_is_the_same_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert identity_of("c.json") == identity_of(str(tmp_path.resolve() / "c.json")) != identity_of("d.json")
    assert identity_of(None) == ""
