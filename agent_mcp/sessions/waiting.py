"""Watching a turn until it ends, rests or the caller's time is up; and taking it from an owner that does not react.

The turn never notices: whoever waits only follows the log.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio

from agent_mcp.agent.history import close_open_calls
from agent_mcp.sessions.events import ToolFinished, TurnDelivered, TurnEnded
from agent_mcp.sessions.log import SessionState, TurnState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.ports import Dispatcher, SessionStore
from agent_mcp.sessions.reports import TurnReport, report_turn

SEIZED = "the turn was cancelled and its process did not answer. The call may have taken effect."

DELIVERY_SECONDS = 0.5
"""From the sending of a result until every process can see that it was; what takes longer has not happened."""

Watcher = Callable[[SessionState], bool | None]
"""Told how the log stands when a call begins to wait, and each time that it has grown; True ends the waiting."""


class Waits:
    """What the callers of this process wait for. All of it ends at once when the process must end."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._over = False

    @contextmanager
    def open(self) -> Generator[None]:
        """Wait in this context; it is left at the first wait within once waiting is over."""
        with anyio.CancelScope() as scope:
            if self._over:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def end(self) -> None:
        """Nobody waits any more, from now on."""
        self._over = True
        for scope in self._scopes:
            scope.cancel()


class TurnWatch:
    """Follows turns for the callers of this process, and remembers which steps of running ones they were told of."""

    def __init__(
        self, *, store: SessionStore, logs: SessionLogs, dispatcher: Dispatcher, waits: Waits
    ) -> None:
        self._store = store
        self._logs = logs
        self._dispatcher = dispatcher
        self._waits = waits
        self._reported: dict[str, int] = {}

    async def wait(
        self, session_id: str, *, turn: int, wait_seconds: float, watcher: Watcher | None
    ) -> TurnReport:
        """Watch the turn for at most `wait_seconds` and report it as it then is; turn 0 is that before the first."""
        state = await self._logs.state(session_id)
        if not turn:
            return self.report(state, None)
        with self._waits.open():
            await self.watch(state, turn, seconds=wait_seconds, watcher=watcher)
        return self.report(state, state.turns[turn - 1])

    async def watch(
        self,
        state: SessionState,
        turn: int,
        *,
        seconds: float,
        watcher: Watcher | None,
        to_the_end: bool = False,
    ) -> None:
        """Return when the turn has ended, when it waits for a person (unless `to_the_end`), or after `seconds`."""

        def settled() -> bool:
            watched = state.turns[turn - 1]
            return watched.ended is not None or (watched.resting and not to_the_end)

        if settled():
            return
        self._dispatcher.enqueue(state.id, turn)
        if watcher is not None and watcher(state):
            return
        # The turn goes on when the time is up: only the watching ends.
        with anyio.move_on_after(seconds):
            async with self._store.tail(state.id, after=state.seq) as batches:
                async for events in batches:
                    await self._logs.absorb(state, events)
                    if settled() or (watcher is not None and watcher(state)):
                        return

    async def seize(self, state: SessionState, turn: TurnState) -> None:
        """End a turn whose owner did not react to its cancel: it is frozen, and can no longer write."""
        while turn.ended is None:
            open_calls = state.open_calls() if turn.steps else ()
            answers = [
                ToolFinished(result.call_id, result.content, result.is_error, result.code)
                for result in close_open_calls(open_calls, "INTERRUPTED", SEIZED)
            ]
            # Its owner may have written a last word just now, with calls in it that need an answer too.
            end, head = [*answers, TurnEnded("cancelled")], state.seq
            await self._store.seize(state.id, turn.number, end, head=head)
            await self._logs.refresh(state)
            if state.seq == head:
                return  # It is another session by now: this one was deleted.

    def report(self, state: SessionState, turn: TurnState | None) -> TurnReport:
        """The turn as it stands; of a running one only the finished steps that were not reported before."""
        reported_to = self._reported.get(state.id, -1)
        report = report_turn(state, turn=turn, reported_to=reported_to)
        if turn is not None and turn.ended is not None:
            self._reported.pop(state.id, None)
        elif report.steps and report.status == "running":
            finished = [step.number for step in report.steps if step.finished]
            self._reported[state.id] = max([reported_to, *finished])
        return report

    async def delivery(self, state: SessionState, message: str) -> None:
        """Return when it is known whether the newest turn, if it is that of this message, was delivered.

        That is written down just after its result was sent, and so perhaps just after this message came in.
        """
        turn = state.turn
        if turn is None or turn.ended is None or turn.delivered or turn.messages[-1:] != [message]:
            return
        with anyio.move_on_after(DELIVERY_SECONDS):
            async with self._store.tail(state.id, after=state.seq) as batches:
                async for events in batches:
                    await self._logs.absorb(state, events)
                    if turn.delivered:
                        return

    async def delivered(self, report: TurnReport) -> None:
        """Write down that a report with a stop reason went to a caller who was still there."""
        if report.stop_reason is None or not report.turn:
            return
        state = await self._logs.state(report.session_id)
        if not state.turns[report.turn - 1].delivered:
            stored = await self._store.append(report.session_id, report.turn, [TurnDelivered()])
            await self._logs.absorb(state, stored)
