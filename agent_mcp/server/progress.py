"""Progress of a waiting call: a line at each step, and at least every few seconds, while the host listens.

A courtesy, never a lifeline: when the host's pipe is full, only the reporter waits.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from agent_mcp.agent.events import Happening, ReplyRestarted, ToolProgress
from agent_mcp.sessions.live import LiveFeed
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.ports import Clock
from agent_mcp.sessions.transcript import cut

INTERVAL_SECONDS = 5.0
PACE_SECONDS = 1.0
"""The least time between a line and one of a server's progress after it: what comes meanwhile is told in one."""
MESSAGE_CHARACTERS = 200

Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends progress, its total and a message to the host."""


class ProgressReporter:
    """Tells a host how its turn goes; fed by the log (`watch`) and by what happens live (`hear`)."""

    def __init__(self, report: Report, *, clock: Clock, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._report = report
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._began = clock.monotonic()
        self._sent = 0
        self._line = "waiting for the model"
        self._calls: dict[str, str] = {}
        """What each call of the newest step is named in a line."""
        self._news = anyio.Event()
        self._tool_news = anyio.Event()

    def watch(self, state: SessionState) -> None:
        """The log has grown."""
        self._calls = _calls_of(state)
        line = line_of(state)
        if line != self._line:
            self._line = line
            self._tell()

    def hear(self, happening: Happening) -> None:
        """Something happened that is not in the log."""
        match happening:
            case ReplyRestarted(reason=reason, wait_seconds=seconds, attempt=attempt):
                self._line = f"try {attempt} in {seconds:.0f} s: {reason}"
                self._tell()
            case ToolProgress(call_id=call_id, message=message, progress=progress, total=total):
                of = "" if total is None else f"/{total:g}"
                self._line = f"{self._calls.get(call_id, 'tool')}: {progress:g}{of} {message}".rstrip()
                self._tool_news.set()
            case _:
                pass

    async def run(self) -> None:
        """Send a line at each piece of news, a server's at a pace, and the last one again after each interval."""
        while True:
            await self._wait()
            self._news, self._tool_news = anyio.Event(), anyio.Event()
            self._sent += 1
            elapsed = self._clock.monotonic() - self._began
            await self._report(
                float(self._sent), None, cut(f"{self._line} ({elapsed:.0f} s)", MESSAGE_CHARACTERS)
            )

    async def _wait(self) -> None:
        # Silence must not last: when no news comes, the elapsed time is news. A server may report as often as it
        # likes, so its news wait for their turn.
        with anyio.move_on_after(self._interval_seconds):
            with anyio.move_on_after(PACE_SECONDS):
                await self._news.wait()
            await self._tool_news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._tool_news.set()


def _calls_of(state: SessionState) -> dict[str, str]:
    if state.active is None or not state.active.steps:
        return {}
    step = state.active.steps[-1]
    return {call.call.id: f"step {step.number}: {call.call.name}" for call in step.calls}


def line_of(state: SessionState) -> str:
    """What the running turn is at, in a few words."""
    turn = state.active
    if turn is None or not turn.steps:
        return "waiting for the model"
    step = turn.steps[-1]
    if turn.inputs:
        return f"step {step.number}: server {turn.inputs[0].asked.server} asks the user"
    names = [call.call.name for call in step.calls if call.result is None]
    if not names:
        return f"step {step.number} done, waiting for the model"
    return f"step {step.number}: {', '.join(names)}"


@asynccontextmanager
async def reporting(reporter: ProgressReporter, feed: LiveFeed, session_id: str) -> AsyncGenerator[None]:
    """Report while this context is open."""
    failure: Exception | None = None
    with feed.listening(session_id, reporter.hear):
        async with anyio.create_task_group() as group:
            group.start_soon(reporter.run)
            try:
                yield
            except Exception as error:
                # Let through a task group, it would come out as a group of exceptions.
                failure = error
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure
