"""A turn of ours as a task of the extension `io.modelcontextprotocol/tasks`: pure views of a folded log.

Nothing of a task is stored: its id names the session and the turn, and all else is read from the session's log, by
whichever process is asked. Wire format: SEP-2663, https://modelcontextprotocol.io/seps/2663-tasks-extension. Knows no
requests (see `tasks`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mcp_types import ElicitRequest

from agent_mcp.server.asking import form_of
from agent_mcp.server.progress import line_of
from agent_mcp.server.relaying import NO_MODES, Modes, request_of
from agent_mcp.server.results import timestamp, turn_result
from agent_mcp.sessions.events import InputAsked
from agent_mcp.sessions.log import CallState, SessionState, TurnState
from agent_mcp.sessions.reports import TurnReport, report_turn

TaskStatus = Literal["working", "input_required", "completed", "cancelled"]
"""`failed` stands for errors of the protocol alone: a turn that ends in an error has a result that says so."""

POLL_INTERVAL_MS = 1_000

_TASK_ID = re.compile(r"([A-Za-z0-9_-]{1,64})\.([1-9][0-9]{0,8})(?:\.([1-9][0-9]{0,8}))?")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TaskId:
    """What a task's id says."""

    session_id: str
    turn: int
    part: int = 0
    """How many of the turn's approvals had been answered when the task was made.

    For a host that can't be asked a task ends where the turn waits for `approve`; what follows is another task.
    """

    def __str__(self) -> str:
        return f"{self.session_id}.{self.turn}" + (f".{self.part}" if self.part else "")


def parse_task_id(text: str) -> TaskId | None:
    """The id in its parts; None if it is none of ours. Says nothing about whether there is such a turn."""
    parsed = _TASK_ID.fullmatch(text)
    return TaskId(parsed[1], int(parsed[2]), int(parsed[3] or 0)) if parsed else None


def answered(turn: TurnState) -> int:
    """How many of a turn's approvals have been answered, or need no answer any more."""
    calls = [call for step in turn.steps for call in step.calls]
    return sum(call.asked is not None and not call.waiting for call in calls)


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as its log tells it at one moment."""

    id: TaskId
    state: SessionState
    turn: TurnState
    can_ask: bool
    """Whether the host can put questions to a person (it declares elicitation)."""
    outside: bool = False
    """Approvals are not answered by hosts."""
    modes: Modes = NO_MODES
    """Which questions of servers it can put."""

    @property
    def questions(self) -> Mapping[str, CallState]:
        """The calls that wait for a decision, by keys that no other question of the task ever has."""
        return {_key(call): call for call in self.turn.waiting}

    @property
    def inputs(self) -> Mapping[str, InputAsked]:
        """What servers ask and this host can show, by id."""
        waiting = [one.asked for one in self.turn.inputs]
        return {asked.input_id: asked for asked in waiting if self.modes.take(asked)}

    @property
    def status(self) -> TaskStatus:
        """Where the task stands."""
        if self.turn.ended is not None:
            return "cancelled" if self.turn.ended.stop_reason == "cancelled" else "completed"
        if self._requests():
            return "input_required"
        if self.turn.resting or (not self.can_ask and answered(self.turn) > self.id.part):
            return "completed"
        return "working"

    @property
    def report(self) -> TurnReport:
        """The turn, as the tools report it."""
        return report_turn(self.state, turn=self.turn)

    def seed(self) -> Json:
        """The task without what only `tasks/get` may tell: the result of the call that made it."""
        ended_at = self.turn.ended_at
        return {
            "taskId": str(self.id),
            "status": self.status,
            "createdAt": timestamp(self.turn.opened_at),
            "lastUpdatedAt": timestamp(self.state.updated_at if ended_at is None else ended_at),
            # Sessions are kept until somebody deletes them.
            "ttlMs": None,
            "pollIntervalMs": POLL_INTERVAL_MS,
        }

    def detailed(self) -> Json:
        """The whole task: the result of `tasks/get`, and what `notifications/tasks` tells."""
        seed = self.seed()
        match self.status:
            case "working":
                return {**seed, "statusMessage": line_of(self.state)}
            case "input_required":
                return {**seed, "inputRequests": self._requests()}
            case "completed":
                return {**seed, "result": _dump(turn_result(self.report, outside=self.outside))}
            case "cancelled":
                return seed

    def _requests(self) -> Json:
        """The questions as requests to the host; those that it can't show are left to the tool `approve`."""
        forms = {key: form_of([call]) for key, call in self.questions.items()} if self.can_ask else {}
        approvals = {
            key: _dump(ElicitRequest(method="elicitation/create", params=form))
            for key, form in forms.items()
            if form is not None
        }
        return approvals | {key: _dump(request_of(asked)) for key, asked in self.inputs.items()}


def _key(call: CallState) -> str:
    """A call that a crash broke off may be asked about once more: that is another question."""
    assert call.asked is not None
    return f"{call.call.id}.{round(call.asked.expires_at * 1000)}"


def _dump(model: Any) -> Json:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)
