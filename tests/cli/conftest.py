"""The real program in processes of its own, with an empty HOME and a bare environment."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_mcp.__main__ import main as agent_mcp
from tests.support.host import ROOT
from tests.support.programs import run_program

PROGRAM = [sys.executable, "-m", "agent_mcp"]
"""As a host starts it; most tests of commands use `Machine.run`, which is quicker."""
DESK: dict[str, Any] = {
    "command": sys.executable,
    "args": ["-m", "tests.support.servers.desk"],
    "cwd": str(ROOT),
}
TIMEOUT_SECONDS = 40


@dataclass(frozen=True, slots=True)
class Machine:
    """A fresh machine: an empty directory that is HOME and working directory."""

    home: Path

    @property
    def environ(self) -> dict[str, str]:
        """Nothing but what a host from the desktop has."""
        return {"HOME": str(self.home), "PATH": os.defpath}

    def write_config(self, config: object, name: str = "config.json") -> Path:
        """A config file, from data or raw text."""
        file = self.home / name
        file.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
        return file

    def run(self, *arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        return run_program(
            agent_mcp,
            arguments,
            environ={**self.environ, **environ},
            folder=self.home,
            stdin=stdin,
            within_seconds=TIMEOUT_SECONDS,
        )

    @contextmanager
    def serve(self, *arguments: str, **environ: str) -> Generator["Host"]:
        """The server, with a host on the other side of its pipes; killed at the end if it still runs."""
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            env={**self.environ, **environ},
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        host = Host(process)
        try:
            yield host
        finally:
            process.kill()
            process.wait()
            host.close()


class Host:
    """A host that speaks MCP line by line, so that a test sees every byte."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._id = 0

    def send(self, message: Mapping[str, Any]) -> None:
        """Put one message on the wire."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method: str, params: Mapping[str, Any]) -> int:
        """Send a request; its id."""
        self._id += 1
        self.send({"id": self._id, "method": method, "params": params})
        return self._id

    def receive(self) -> dict[str, Any]:
        """The next message; fails if the line is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the server is gone: {self.errors()}"
        return json.loads(line)

    def initialize(self) -> dict[str, Any]:
        """The handshake; the server's answer."""
        client = {"name": "test", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        self.request("initialize", params)
        answer = self.receive()["result"]
        self.send({"method": "notifications/initialized"})
        return answer

    def begin_call(self, tool: str, **arguments: Any) -> int:
        """Call a tool without waiting for the answer."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; its structured result."""
        request_id = self.begin_call(tool, **arguments)
        answer = self.receive()
        assert answer["id"] == request_id
        return answer["result"]["structuredContent"]

    def hang_up(self) -> None:
        """End the server's stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def rest(self) -> list[dict[str, Any]]:
        """All messages up to the end."""
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout.read().splitlines()]

    def close(self) -> None:
        """Let go of all pipes."""
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def errors(self) -> str:
        """All of stderr, once the server has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A fresh one."""
    return Machine(tmp_path)
