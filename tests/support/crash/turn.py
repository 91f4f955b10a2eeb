"""The turn of the crash matrix: ten steps of three calls, what kills it, what goes on with it, and what is then known.

`die` and `finish` each run in a process of their own. What the tools do and what the model is asked is counted in a
file beside the store, which no crash undoes.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import anyio

from agent_mcp.agent.messages import Reply
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.config.schema import WorkerSettings
from agent_mcp.errors import SessionNotFoundError
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.start import StartRequest
from agent_mcp.store.codec import encode
from agent_mcp.store.open import open_store
from tests.support.crash.mortal import Boundary, Point, mortal, read_boundary
from tests.support.processes import run_process
from tests.support.world import Function, FunctionTools, Plan, World, calls, open_world, says

SESSION = "s1"
STEPS = 10
_SHORT_LEASES = WorkerSettings(heartbeat_seconds=0.1, stalled_seconds=0.5)
"""Where a dead process shows by its silence, as on PostgreSQL."""
TOOLS = ("look", "put", "book")
"""Read-only, idempotent, neither."""

Policy = Literal["default", "retry", "unknown", "ask"]
POLICIES: tuple[Policy, ...] = ("default", "retry", "unknown", "ask")


class Row(NamedTuple):
    """An event of the log."""

    seq: int
    turn: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to die, and where."""

    folder: Path
    policy: Policy = "default"
    url: str | None = None
    """The store; default: a file in `folder`."""

    @property
    def store_url(self) -> str:
        """The address of the store."""
        return self.url or f"sqlite:///{self.folder / 'sessions.db'}"

    @property
    def outside(self) -> Path:
        """What happened outside of the store, a line each."""
        return self.folder / "outside.log"


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of a turn that was killed and finished."""

    boundary: Boundary | None
    """None for a turn that nobody disturbed."""
    at_kill: Sequence[Row]
    """The log as the dead process left it."""
    log: Sequence[Row]
    """The log at the end."""
    asked_before: int
    """How often the model had been asked at the kill."""
    outside: Counter[str]
    """How often each effect took place (`look 3`, ...), and `model`."""


def live(case: Case, point: Point | None) -> Story | None:
    """Kill the turn at `point` and have it finished; None where it has no such write any more.

    Raises:
        RuntimeError: a process ended in another way than it should.
    """
    case.folder.mkdir(parents=True)
    status = run_process(die, case, point)
    if status == 0 and point is not None:
        return None
    if status != (0 if point is None else -9):
        raise RuntimeError(f"{case.folder}: the first process ended with {status}")
    asked_before = _outside(case)["model"]
    if (status := run_process(finish, case)) != 0:
        raise RuntimeError(f"{case.folder}: the second process ended with {status}")
    at_kill, log = (
        [Row(*row) for row in rows] for rows in json.loads((case.folder / "logs.json").read_text())
    )
    boundary = None if point is None else read_boundary(case.folder / "boundary.json")
    return Story(boundary, at_kill, log, asked_before, _outside(case))


def die(case: Case, point: Point | None) -> None:
    """Run the turn from the host's first call to the delivery of its answer, if it gets that far."""
    anyio.run(_run, case, point)


def finish(case: Case) -> None:
    """What a host does after a crash: it sends its call again, answers what it is asked, and takes the answer."""
    anyio.run(_finish, case)


async def _finish(case: Case) -> None:
    at_kill = await _read(case)
    await _run(case, None, delivered=any(row.kind == "delivered" for row in at_kill))
    logs = json.dumps([at_kill, await _read(case)])
    (case.folder / "logs.json").write_text(logs, encoding="utf-8")


async def _run(case: Case, point: Point | None, *, delivered: bool = False) -> None:
    with anyio.fail_after(15):
        async with open_world(
            case.folder,
            *_plan(case),
            profile=_profile(case.policy),
            tools=_tools(case),
            store_url=case.store_url,
            settings=_SHORT_LEASES,
            through=mortal(point, case.folder / "boundary.json"),
        ) as world:
            report = await _to_the_end(world, resend=not delivered)
            await world.service.delivered(report)


async def _to_the_end(world: World, *, resend: bool) -> TurnReport:
    service = world.service
    if resend:
        report = await service.start(StartRequest(message="go"), session_id=SESSION, wait_seconds=15)
    else:
        report = await service.send(SESSION, None, wait_seconds=15)
    while report.stop_reason is None:
        for waiting in report.approvals:
            item = (waiting.call.arguments or {})["item"]
            report = await service.approve(SESSION, waiting.call.id, decision(item), wait_seconds=15)
    return report


def decision(item: int) -> Literal["allow", "deny"]:
    """What the person says who is asked whether to repeat a call of this step."""
    return "allow" if item % 2 else "deny"


def _profile(policy: Policy) -> Profile:
    profile = Profile(agent="a", model="plan", servers=("t",))
    return profile if policy == "default" else replace(profile, interrupted={"t": policy})


def _plan(case: Case) -> list[Plan]:
    def step(item: int) -> Plan:
        planned = (
            calls(*((f"t__{tool}", {"item": item}) for tool in TOOLS)) if item < STEPS else says("Done.")
        )

        async def reply(_: ModelRequest) -> Reply:
            _note(case, "model")
            return planned

        return reply

    return [step(item) for item in range(STEPS + 1)]


def _tools(case: Case) -> FunctionTools:
    def tool(name: str) -> Function:
        async def call(arguments: dict[str, Any]) -> str:
            _note(case, f"{name} {arguments['item']}")
            return f"{name} {arguments['item']}: done"

        return call

    flags = {"look": {"read_only": True}, "put": {"idempotent": True}}
    return FunctionTools({name: tool(name) for name in TOOLS}, flags)


def _note(case: Case, line: str) -> None:
    descriptor = os.open(case.outside, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def _outside(case: Case) -> Counter[str]:
    return Counter(case.outside.read_text().splitlines() if case.outside.exists() else ())


async def _read(case: Case) -> list[Row]:
    async with open_store(case.store_url) as store:
        try:
            await store.get(SESSION)
        except SessionNotFoundError:
            return []
        return [_row(event.seq, event.turn, event.data) for event in await store.read(SESSION)]


def _row(seq: int, turn: int, data: Any) -> Row:
    return Row(seq, turn, data.kind, json.loads(encode(data).text))
