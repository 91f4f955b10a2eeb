"""The program as a process with pipes: its own pid, streams, environment and signals, and nothing imported anew.

Forked from a server that has done the imports, a process takes some ms in place of a second or two, which was most of
the tests' time. How the program starts by itself is shown by `tests/cli/test_serve.py`, by chats on a terminal and by
the demo. `AGENT_MCP_TESTS_COLD=1` has it start so everywhere, which is what coverage of processes needs.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from multiprocessing import reduction
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

import anyio
from anyio.abc import Process

from tests.support.processes import run_process, start_process

Main = Callable[[], int]
"""A program's `main`, in a module that runs it under `python -m`: from `sys.argv` to the exit status."""

COLD = os.environ.get("AGENT_MCP_TESTS_COLD") == "1" or sys.platform == "win32"
_CHUNK_BYTES = 1 << 16
_POLL_SECONDS = 0.005


class Program(Protocol):
    """A running one."""

    @property
    def pid(self) -> int:
        """Its process."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative after a signal; None while it runs."""
        ...

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens if it is gone."""
        ...

    async def receive(self) -> bytes:
        """What it writes next; empty at the end."""
        ...

    async def send(self, data: bytes) -> None:
        """To its stdin.

        Raises:
            OSError, anyio.ClosedResourceError, anyio.BrokenResourceError: nobody reads it any more.
        """
        ...

    async def close_stdin(self) -> None:
        """Nothing more will be sent."""
        ...


@asynccontextmanager
async def open_program(
    main: Main, arguments: Sequence[str], *, environ: Mapping[str, str], folder: Path, stderr: BinaryIO
) -> AsyncGenerator[Program]:
    """Start it; killed at the end of the context if it still runs."""
    opening = _open_cold if COLD else _open_forked
    async with opening(main, arguments, environ, folder, stderr) as program:
        try:
            yield program
        finally:
            with anyio.CancelScope(shield=True):
                program.send_signal(signal.SIGKILL)
                while program.returncode is None:
                    await anyio.sleep(_POLL_SECONDS)


def run_program(
    main: Main,
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: Path,
    stdin: str = "",
    within_seconds: float,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with no more on stdin than a pipe holds.

    Raises:
        TimeoutError, subprocess.TimeoutExpired: it did not end in time; it is killed.
    """
    if COLD:
        return subprocess.run(
            [sys.executable, "-m", main.__module__, *arguments],
            env=environ,
            cwd=folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=within_seconds,
            check=False,
        )
    its_stdin, our_stdin = os.pipe()
    os.write(our_stdin, stdin.encode())
    os.close(our_stdin)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        streams = [Descriptor(number) for number in (its_stdin, stdout.fileno(), stderr.fileno())]
        life = _begin, main, list(arguments), dict(environ), folder, streams
        try:
            status = run_process(*life, within_seconds=within_seconds)
        finally:
            os.close(its_stdin)
        said = [_text(file) for file in (stdout, stderr)]
    return subprocess.CompletedProcess(arguments, status, *said)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


class Descriptor:
    """An open file on its way to another process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _arrived, (reduction.DupFd(self.number),)


def _arrived(duplicate: Any) -> int:
    return duplicate.detach()


def _begin(
    main: Main, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, streams: Sequence[int]
) -> None:
    """The life of a forked program."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (for as long as it runs)
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.argv = [main.__module__, *arguments]
    raise SystemExit(main())


@asynccontextmanager
async def _open_forked(
    main: Main, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, stderr: BinaryIO
) -> AsyncGenerator[Program]:
    its_stdin, stdin = os.pipe()
    stdout, its_stdout = os.pipe()
    streams = [Descriptor(number) for number in (its_stdin, its_stdout, stderr.fileno())]
    process = start_process(_begin, main, list(arguments), dict(environ), folder, streams)
    os.close(its_stdin)
    os.close(its_stdout)
    program = _Forked(process, stdin, stdout)
    try:
        yield program
    finally:
        await program.aclose()


class _Forked:
    """A child of the server that has done the imports."""

    def __init__(self, process: BaseProcess, stdin: int, stdout: int) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process
        self._stdin: int | None = stdin
        self._stdout = stdout
        os.set_blocking(stdin, False)
        os.set_blocking(stdout, False)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def receive(self) -> bytes:
        while True:
            await anyio.wait_readable(self._stdout)
            with suppress(BlockingIOError):
                return os.read(self._stdout, _CHUNK_BYTES)

    async def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if self._stdin is None:
                raise anyio.ClosedResourceError
            await anyio.wait_writable(self._stdin)
            with suppress(BlockingIOError):
                rest = rest[os.write(self._stdin, rest) :]

    async def close_stdin(self) -> None:
        if self._stdin is not None:
            descriptor, self._stdin = self._stdin, None
            anyio.notify_closing(descriptor)
            os.close(descriptor)

    async def aclose(self) -> None:
        """Let go of the pipes of a process that has ended."""
        await self.close_stdin()
        anyio.notify_closing(self._stdout)
        os.close(self._stdout)
        self._process.join()
        self._process.close()


@asynccontextmanager
async def _open_cold(
    main: Main, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, stderr: BinaryIO
) -> AsyncGenerator[Program]:
    command = [sys.executable, "-m", main.__module__, *arguments]
    process = await anyio.open_process(command, env=environ, cwd=folder, stderr=stderr)
    try:
        yield _Cold(process)
    finally:
        transport = getattr(getattr(process, "_process", None), "_transport", None)
        if transport is not None:
            transport.close()
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await process.aclose()


class _Cold:
    """Started as a host starts it."""

    def __init__(self, process: Process) -> None:
        self.pid = process.pid
        self._process = process

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def receive(self) -> bytes:
        assert self._process.stdout is not None
        try:
            return await self._process.stdout.receive()
        except anyio.EndOfStream:
            return b""

    async def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send(data)

    async def close_stdin(self) -> None:
        assert self._process.stdin is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await self._process.stdin.aclose()
