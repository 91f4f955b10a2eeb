"""agent-mcp under agent-mcp under agent-mcp: what is carried through three processes, on both transports and eras."""

import json
import sqlite3
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from tests.support.host import ROOT, Home, Host, Json, open_host, until
from tests.support.http import open_http
from tests.support.journey import call, calls, model_environ, release, says, script, work_done, worker
from tests.support.model_script import Call
from tests.support.model_server import open_model_server

pytestmark = pytest.mark.anyio

Link = Literal["stdio", "http"]


def below(message: str) -> Call:
    return Call(name="below__start_session", arguments={"message": message})


APPROVAL = {"session_id": "s-below", "call_id": "c", "decision": "allow"}
RULES = {
    "top: hold": [calls(below("middle: hold")), says("All done.")],
    "middle: hold": [calls(below("bottom: hold")), says("Passed on.")],
    "bottom: hold": [calls(call("look", item="a", hold=True)), says("Seen.")],
    "top: work": [calls(below("middle: work")), says("All worked.")],
    "middle: work": [calls(below("bottom: work")), says("Worked below.")],
    "bottom: work": [calls(call("look", item=f"w{n}"), text=f"Step {n}.") for n in range(30)],
    "top: approve": [calls(Call(name="below__approve", arguments=APPROVAL)), says("Approved.")],
}


@dataclass
class Chain:
    """Three servers, the upper two each with the next one as its server `below`."""

    host: Host
    homes: Sequence[Home]

    def ends(self) -> list[str]:
        """How the newest turn at each level ended, from the top."""
        return [(_last(home, "turn_ended") or {"stop_reason": "runs"})["stop_reason"] for home in self.homes]

    def ancestry(self) -> list[str]:
        """That of the newest session at the bottom."""
        with sqlite3.connect(self.homes[-1].store) as connection:
            [config] = connection.execute(
                "SELECT config FROM sessions ORDER BY created DESC LIMIT 1"
            ).fetchone()
        return json.loads(config)["ancestry"]

    def allowance(self, level: int) -> Json:
        """What the newest turn there may spend by the word of its caller."""
        caps = (_last(self.homes[level], "allowance") or {"caps": {}})["caps"]
        return {name: value for name, value in caps.items() if value is not None}


def _last(home: Home, kind: str) -> Json | None:
    with sqlite3.connect(home.store) as connection:
        row = connection.execute(
            "SELECT data FROM events WHERE kind = ? ORDER BY at DESC, rowid DESC LIMIT 1", [kind]
        ).fetchone()
    return json.loads(row[0]) if row else None


@asynccontextmanager
async def open_chain(folder: Path, links: Sequence[Link], eras: Sequence[str]) -> AsyncGenerator[Chain]:
    """Opened from the bottom up, as those over HTTP must listen before they are called."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(open_model_server(script(RULES)))
        environ = model_environ("openai-chat", model.port)
        homes = [Home(_made(folder / name), {}, dict(environ)) for name in ("top", "middle", "bottom")]
        homes[2].config = {"mcpServers": {"desk": worker(homes[2].folder)}}
        for upper, lower, link, era in zip(homes[1::-1], homes[:0:-1], links[::-1], eras[::-1], strict=True):
            entry: dict[str, Any] = {"era": era}
            if link == "http":
                served = await stack.enter_async_context(open_http(lower))
                entry |= {"type": "http", "url": served.address}
            else:
                lower.write()
                arguments = ["-m", "agent_mcp", "serve", "--config", str(lower.config_file)]
                env = {**environ, "PYTHONPATH": str(ROOT)}
                entry |= {
                    "command": sys.executable,
                    "args": arguments,
                    "cwd": str(lower.folder),
                    "env": env,
                }
            upper.config = {"mcpServers": {"below": entry}}
        yield Chain(await stack.enter_async_context(open_host(homes[0])), homes)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def test_cancel_spending_and_budgets_pass_through_three_levels(tmp_path: Path) -> None:
    # Two links: between them they are of both transports and of both eras.
    with anyio.fail_after(60):
        async with open_chain(tmp_path, ("http", "stdio"), ("modern", "legacy")) as chain:
            await a_cancel_stops_every_level(chain)
            await a_host_that_gives_up_stops_none(chain)
            await a_budget_holds_over_all(chain)


async def test_a_cancel_passes_over_the_other_pairs_of_transport_and_era(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_chain(tmp_path, ("stdio", "http"), ("modern", "legacy")) as chain:
            await a_cancel_stops_every_level(chain)


async def test_a_model_does_not_approve_what_waits_below_before_a_person_agrees(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_chain(tmp_path, ("stdio", "stdio"), ("modern", "modern")) as chain:
            asked = await chain.host.call("start_session", message="top: approve")
    assert asked["status"] == "needs_approval"
    assert [(call["name"], call["arguments"]) for call in asked["approvals"]] == [
        ("below__approve", APPROVAL)
    ]


async def a_cancel_stops_every_level(chain: Chain) -> None:
    bottom = chain.homes[2]
    started = {"session_id": "s1", "message": "top: hold"}
    cancelled: Json = {}
    async with anyio.create_task_group() as waiting:
        waiting.start_soon(partial(chain.host.call, "start_session", **started))
        await until(lambda: "look a" in work_done(bottom))
        with anyio.fail_after(5):
            cancelled = await chain.host.call("cancel", session_id="s1")
        assert (cancelled["stop_reason"], chain.ends()) == ("cancelled", ["cancelled"] * 3)
    assert cancelled["usage"]["input_tokens"] == 30, "what those below had spent is counted"
    assert [name.partition("@")[0][:2] for name in chain.ancestry()] == ["s1", "s-", "s-"]


async def a_host_that_gives_up_stops_none(chain: Chain) -> None:
    bottom = chain.homes[2]
    begun = len(work_done(bottom))
    async with anyio.create_task_group() as waiting:
        waiting.start_soon(partial(chain.host.call, "start_session", session_id="s2", message="top: hold"))
        await until(lambda: len(work_done(bottom)) > begun)
        waiting.cancel_scope.cancel()  # the client sends notifications/cancelled
    running = await chain.host.call("send_message", session_id="s2", wait_seconds=0)
    release(bottom, "a")
    ended = await chain.host.call("send_message", session_id="s2")
    assert (running["status"], ended["text"], ended["stop_reason"]) == ("running", "All done.", "end_turn")
    assert (ended["usage"]["input_tokens"], ended["usage"]["output_tokens"]) == (60, 30)


async def a_budget_holds_over_all(chain: Chain) -> None:
    report = await chain.host.call(
        "start_session",
        session_id="s3",
        message="top: work",
        budget={"tokens": 400, "turn": {"tool_calls": 12}},
    )
    used = report["usage"]["input_tokens"] + report["usage"]["output_tokens"]
    assert 200 < used <= 400
    assert chain.ends()[2] == "budget"
    assert 0 < chain.allowance(2)["tokens"] < chain.allowance(1)["tokens"] < 400
    assert chain.allowance(1)["tool_calls"] <= 12
