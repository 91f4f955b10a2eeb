"""Light processes for tests that kill: forked from a clean server that has done the imports, so each takes 10 ms.

Not forked from the test's own process, which has threads. POSIX only, like `kill -9` itself.
"""

import multiprocessing
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.support.crash.warm", "tests.support.replicas", "tests.support.warm_program"]
)


def start_process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Run a function of a module in a process of its own; its arguments are pickled."""
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def pipe() -> tuple[Connection, Connection]:
    """Both ends of a channel; one may be an argument of a process."""
    return _CONTEXT.Pipe()


@contextmanager
def running(target: Callable[..., None], *arguments: Any) -> Generator[BaseProcess]:
    """The same, killed at the end of the context if it still runs."""
    process = start_process(target, *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


def run_process(target: Callable[..., None], *arguments: Any, within_seconds: float = 20.0) -> int:
    """The exit status of the function's process, negative after a signal.

    Raises:
        TimeoutError: it did not end in time; it is killed.
    """
    with running(target, *arguments) as process:
        process.join(within_seconds)
        if process.exitcode is None:
            raise TimeoutError(f"{target.__name__} did not end within {within_seconds} s")
        return process.exitcode
