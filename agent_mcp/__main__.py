"""The `agent-mcp` program: from a command line to a command, and from what it raises to an exit status.

Imports nothing but the standard library before the command is known: `--help` must be quick, and a server's start too.
"""

import os
import signal
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from typing import cast

from agent_mcp.cli.descriptors import fill_descriptors
from agent_mcp.cli.parser import parse
from agent_mcp.errors import AgentMcpError, ConfigError, PublicError

FAILED = 1
WRONG_USAGE = 2
_INTERRUPTED = 128 + 2
_BROKEN_PIPE = 128 + 13


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is that of CONTRACT §1. Without `argv` we are the process, not its guest."""
    if argv is None:
        _prepare_process()
    debug = False
    try:
        options = parse(argv)
        debug = options.debug
        status = _run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        if isinstance(_leaf(error), BrokenPipeError):
            return _leave_quietly()
        return _report(error, debug=debug)


def _prepare_process() -> None:
    """What commands may rely on, and the exit status of signals that come before a command takes them itself.

    SIGINT is Python's own already, and ends as KeyboardInterrupt. A signal that we were told to ignore stays so.
    """
    fill_descriptors()
    for name in ("SIGTERM", "SIGHUP"):
        number: signal.Signals | None = getattr(signal, name, None)  # Windows has no SIGHUP.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: os._exit(128 + number))


def _leave_quietly() -> int:
    """Whoever read our output has enough."""
    _give_up_output()
    return _BROKEN_PIPE


def _give_up_output() -> None:
    """What stdout does not take is dropped; else Python would complain at its end, with an exit status of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: Namespace) -> int:
    """Each command is imported only when it is the one."""
    match options.command:
        case "approvals":
            from agent_mcp.cli.approvals import run
        case "chat":
            from agent_mcp.cli.chat import run
        case "db":
            from agent_mcp.cli.db import run
        case "demo":
            from agent_mcp.cli.demo import run
        case "doctor":
            from agent_mcp.cli.doctor import run
        case "install":
            from agent_mcp.cli.install import run
        case "login" | "logout":
            from agent_mcp.cli.login import run
        case "sessions":
            from agent_mcp.cli.sessions import run
        case _:
            from agent_mcp.cli.serve import run
    return run(options)


def _report(error: Exception, *, debug: bool) -> int:
    """One line on stderr: what failed and how to mend it. No secret is in it, nor in the traceback before it."""
    from agent_mcp.observability.logging import masked

    if debug:
        sys.stderr.write(masked("".join(traceback.format_exception(error))))
    leaf = _leaf(error)
    line = " ".join(_line(leaf).split())
    sys.stderr.write(masked(f"agent-mcp: {line}\n"))
    _give_up_output()
    return WRONG_USAGE if isinstance(leaf, ConfigError) else FAILED


def _leaf(error: Exception) -> Exception:
    """What a task group's wrapping hides."""
    if not isinstance(error, ExceptionGroup):
        return error
    inner: Sequence[Exception] = cast("ExceptionGroup[Exception]", error).exceptions
    return _leaf(inner[0])


def _line(error: Exception) -> str:
    match error:
        case PublicError(message=message, hint=hint):
            return f"{message} ({hint})" if hint else message
        case AgentMcpError():
            return str(error)
        case OSError():
            return f"{error} (run again with --debug to see where)"
        case _:
            kind = type(error).__name__
            return f"unexpected {kind}: {error} (run again with --debug, and please report it)"


if __name__ == "__main__":
    sys.exit(main())
