"""How long a program runs: until its work is done, a signal comes, or the host that started it is gone.

Ends within `END_SECONDS` of being told to, whatever still hangs: what matters is in the log on disk by then.
"""

import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import anyio
from anyio import CancelScope
from anyio.abc import TaskStatus

END_SECONDS = 1.9
"""From being told to end until the process is gone at the latest; hosts kill after 2 s and more."""
_PARENT_SECONDS = 0.5
_THREADS_SECONDS = 0.2

Main = Callable[[], Awaitable[int]]
"""The work; its answer is the exit status."""


@dataclass(slots=True)
class _Outcome:
    status: int = 0


def run_to_end(main: Main, *, with_parent: bool = False) -> int:
    """Run `main` and return the exit status: its own, or 128 + n if signal n ended it.

    With `with_parent` it also ends, with 0, when the process that started us does. May not return at all: a thread
    that can't be woken (blocked in a read or a write) would hold up the interpreter's own end.
    """
    parent = os.getppid()
    outcome = _Outcome()
    anyio.run(_supervised, main, parent if with_parent else None, outcome)
    _leave_if_a_thread_hangs(outcome.status)
    return outcome.status


async def _supervised(main: Main, parent: int | None, outcome: _Outcome) -> None:
    async with anyio.create_task_group() as watchers:
        work = CancelScope()
        if sys.platform != "win32":  # Windows knows only Ctrl-C, which comes as KeyboardInterrupt.
            # Before the work begins: it may block the loop with its imports, and signals wait then.
            await watchers.start(partial(_end_on_signal, work, outcome))
        if parent is not None:
            watchers.start_soon(_end_with_parent, work, parent)
        with work:
            outcome.status = await main()
        watchers.cancel_scope.cancel()


async def _end_on_signal(work: CancelScope, outcome: _Outcome, *, task_status: TaskStatus[None]) -> None:
    """The first signal decides the status; further ones change nothing, the end is under way."""
    ending = [signal.SIGINT, signal.SIGTERM]
    # `nohup` has it ignored, to outlive its terminal.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ending.append(signal.SIGHUP)
    with anyio.open_signal_receiver(*ending) as signals:
        task_status.started()
        number = await anext(aiter(signals))
    # The receiver has put back the defaults, and hosts send SIGTERM 100 ms after SIGINT: it would kill us in our end.
    # Ignored and not handled: the interpreter takes its handlers away first of all when it ends.
    for other in ending:
        signal.signal(other, signal.SIG_IGN)
    if not work.cancel_called:
        outcome.status = 128 + number
        end_soon(outcome.status)
        work.cancel()


async def _end_with_parent(work: CancelScope, parent: int) -> None:
    """A host that dies may leave our stdin open in a child of its own; then only this tells."""
    while True:
        await anyio.sleep(_PARENT_SECONDS)
        if os.getppid() != parent:
            break
    end_soon(0)
    work.cancel()


def end_soon(status: int) -> None:
    """From now on the process has `END_SECONDS` to end by itself; then it is ended, even if its loop hangs."""
    timer = threading.Timer(END_SECONDS, os._exit, args=(status,))
    timer.daemon = True
    timer.start()


def _leave_if_a_thread_hangs(status: int) -> None:
    """The event loop's idle threads are already on their way out; one in a blocking call is not."""
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in others:
        if not thread.daemon:
            thread.join(_THREADS_SECONDS)
            if thread.is_alive():
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
