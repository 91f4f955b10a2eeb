"""`agent-mcp chat`: talk to an agent in the terminal, in this very process; the session is stored like any other.

Knows the use cases, not the published tools. With a pipe on stdin each line is a message, and stdout has only answers.
"""

import math
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import TaskGroup

from agent_mcp.bootstrap import App, ConfiguredAgents, open_app
from agent_mcp.cli.chat_forms import fill_in
from agent_mcp.cli.chat_screen import Screen
from agent_mcp.cli.lifetime import run_to_end
from agent_mcp.cli.lines import Lines, open_lines
from agent_mcp.cli.startup import configure, log_problems, same_command
from agent_mcp.config.schema import Config
from agent_mcp.errors import AgentMcpError, PublicError, SessionNotFoundError
from agent_mcp.sessions.events import InputAsked, InputGiven, InputShown
from agent_mcp.sessions.log import CallState, SessionState
from agent_mcp.sessions.reports import TurnReport
from agent_mcp.sessions.service import SessionService
from agent_mcp.sessions.start import StartRequest

_LEAVE = "/exit"


def run(options: Namespace) -> int:
    """Talk until the end of stdin, `/exit`, or Ctrl-C at the prompt.

    Raises:
        ConfigError: the config is wrong.
        PublicError: there is no such agent or session; without a terminal also whatever refuses a message.
    """
    config = configure(options)
    log_problems(config)
    if options.agent and options.session:
        raise AgentMcpError("a session has its agent already: leave out --agent or --session")
    return run_to_end(partial(_chat, config, options))


async def _chat(config: Config, options: Namespace) -> int:
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    screen = Screen(interactive=interactive, command=same_command(options))
    async with open_app(config, os.environ) as app, open_lines(0) as lines:
        chat = await _open_chat(app, options, screen=screen, lines=lines)
        async with anyio.create_task_group() as tasks, _signals(chat, tasks):
            await chat.talk()
    return chat.status


async def _open_chat(app: App, options: Namespace, *, screen: Screen, lines: Lines) -> "_Chat":
    if options.session is None:
        profile = ConfiguredAgents(app.config).profile(options.agent)
        model = profile.model or app.models.default_reference()
        screen.greet(f"agent {options.agent or profile.agent or '-'}, model {model}")
        return _Chat(app, app.service, options.agent, screen, lines)
    try:
        record = await app.store.get(options.session)
    except SessionNotFoundError as error:
        raise SessionNotFoundError(error.message, hint="`agent-mcp sessions list` shows them all") from error
    screen.greet(f"session {record.id}, agent {record.profile.agent or '-'}, model {record.profile.model}")
    # Whoever can read the store is its operator: the session may be anybody's.
    service = app.service.for_principal(record.principal)
    return _Chat(app, service, None, screen, lines, session_id=record.id)


@asynccontextmanager
async def _signals(chat: "_Chat", tasks: TaskGroup) -> AsyncGenerator[None]:
    """Ctrl-C goes to the chat while this context is open, and not to what would end the program."""
    if sys.platform == "win32":  # There it ends the program: asyncio has no signal handlers.
        yield
        return
    with anyio.open_signal_receiver(signal.SIGINT) as signals:

        async def pass_on() -> None:
            async for _ in signals:
                tasks.start_soon(chat.interrupt)

        tasks.start_soon(pass_on)
        yield
        tasks.cancel_scope.cancel()


@dataclass
class _Chat:
    """One conversation."""

    app: App
    service: SessionService
    agent: str | None
    screen: Screen
    lines: Lines
    session_id: str | None = None
    status: int = 0
    """The exit status: 1 where a script was left without an answer."""
    _in_turn: bool = False
    _reading: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def talk(self) -> None:
        """Until the user has had enough."""
        if self.session_id is not None:
            await self._guarded(None)
        while not self.status:
            line = await self._read("> ")
            if line is None or line.strip() == _LEAVE:
                break
            if line.strip():
                await self._guarded(line)
        self.screen.leave(self.session_id)

    async def interrupt(self) -> None:
        """Ctrl-C: cancels the turn that runs, else ends the conversation."""
        self._reading.cancel()
        if self._in_turn and self.session_id is not None:
            await self.service.cancel(self.session_id)

    async def _read(self, prompt: str) -> str | None:
        """The next line; None at the end of stdin and after Ctrl-C."""
        self.screen.prompt(prompt)
        with anyio.CancelScope() as self._reading:
            return await self.lines.next()
        return None

    async def _guarded(self, message: str | None) -> None:
        """A person is told what was refused and goes on; a script gets it as its end."""
        try:
            await self._turn(message)
        except PublicError as error:
            if not self.screen.interactive:
                raise
            self.screen.fail(error.code, error.message, error.hint)

    async def _turn(self, message: str | None) -> None:
        if self.session_id is None:
            begun = await self.service.start(StartRequest(agent=self.agent), session_id=None, wait_seconds=0)
            self.session_id = begun.session_id
        self._in_turn = True
        try:
            report = await self._to_the_end(self.session_id, message)
        finally:
            self._in_turn = False
        if report is None or not report.turn:
            return
        await self.service.delivered(report)
        self.screen.end_turn(report)
        if report.problem is not None and not self.screen.interactive:
            self.status = 1

    async def _to_the_end(self, session_id: str, message: str | None) -> TurnReport | None:
        """Follow the turn; None if it was left waiting for an approval."""
        state = (await self.service.summary(session_id)).state
        known = len(state.steps) if state.active is None else len(state.steps) - len(state.active.steps)
        self.screen.begin_turn(first_step=known)
        with self.app.feed.listening(session_id, self.screen.hear):
            while True:
                report = await self.service.send(
                    session_id, message, wait_seconds=math.inf, watcher=self._watch
                )
                state = (await self.service.summary(session_id)).state
                self.screen.watch(state)
                if report.inputs:
                    message = None
                    await self._answer(session_id, report.inputs[0].asked)
                    continue
                if report.stop_reason is not None or not report.approvals:
                    return report
                message = None
                if not await self._approve(session_id, report.approvals):
                    return None

    def _watch(self, state: SessionState) -> bool:
        self.screen.watch(state)
        return bool(state.active and state.active.inputs)

    async def _answer(self, session_id: str, asked: InputAsked) -> None:
        """Put a server's question to the person, as long as it waits; in a pipe there is nobody to ask."""
        self.screen.show_question(asked)
        given = InputGiven(asked.input_id, "cancel", unasked=True)
        if self.screen.interactive:
            await self.service.answer_input(session_id, InputShown(asked.input_id))
            with anyio.move_on_after(max(0.0, asked.expires_at - time.time())) as waiting:
                given = await fill_in(asked, self._read)
            if waiting.cancelled_caught:
                self.screen.tell_too_late()
        if given.action == "cancel" and self._reading.cancel_called:
            # Ctrl-C: the cancel is in the log when this returns, and the question ends with the turn.
            await self.service.cancel(session_id)
        await self.service.answer_input(session_id, given)

    async def _approve(self, session_id: str, calls: Sequence[CallState]) -> bool:
        """Ask about each waiting call; False if nobody is there to answer."""
        for call in calls:
            self.screen.show_waiting(call)
            if not self.screen.interactive:
                self.status = 1
                self.screen.tell_how_to_answer(session_id, call)
                continue
            answer = await self._ask()
            if answer is None:
                if not self._reading.cancel_called:
                    return False
                # Ctrl-C: the cancel is in the log when this returns, and the turn no longer rests.
                await self.service.cancel(session_id)
                return True
            decision = "allow" if answer else "deny"
            await self.service.approve(session_id, call.call.id, decision, wait_seconds=0)
        return not self.status

    async def _ask(self) -> bool | None:
        while (line := await self._read("allow this call? [y/n] ")) is not None:
            match line.strip().lower():
                case "y" | "yes":
                    return True
                case "n" | "no":
                    return False
                case _:
                    continue
        return None
