"""The protocol's official conformance suite against our server and our downstream half, for both requirement sets.

What is expected to fail stands in `baseline.yaml`, with reasons.
"""

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from tests.conformance.client import open_driver
from tests.conformance.stub import DRIVER_PORT
from tests.support.host import ROOT
from tests.support.node import node, node_package, requires_node

pytestmark = pytest.mark.anyio

REVISIONS = ("2025-11-25", "2026-07-28")
BASELINE = Path(__file__).with_name("baseline.yaml")
PACKAGE = "@modelcontextprotocol/conformance"
CLIENT = f"{sys.executable} -S -E -m tests.conformance.stub"
UNSCORED = (
    "auth/client-credentials-basic",
    "auth/client-credentials-jwt",
    "json-schema-2020-12-preservation",
)
"""Extensions, and what was added after both revisions: they count for neither, and we pass them."""


@asynccontextmanager
async def conformance_server(folder: Path) -> AsyncGenerator[str]:
    """The address of our server with the suite's fixtures."""
    command = [sys.executable, "-m", "tests.conformance.server", str(folder)]
    async with await anyio.open_process(command, cwd=ROOT, stderr=None) as process:
        try:
            assert process.stdout is not None
            address = await TextReceiveStream(process.stdout).receive()
            yield address.strip()
        finally:
            process.kill()


async def suite(*arguments: str) -> tuple[int, str]:
    """Run the suite; its exit status, and what it printed."""
    command = [node(), node_package(f"{PACKAGE}/dist/index.js"), *arguments]
    done = await anyio.run_process(
        command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout.decode(errors="replace")


@requires_node
@pytest.mark.parametrize("revision", REVISIONS)
async def test_our_server_does_what_the_revision_requires(tmp_path: Path, revision: str) -> None:
    with anyio.fail_after(120):
        async with conformance_server(tmp_path) as url:
            chosen = ("--requirements", revision, "--expected-failures", str(BASELINE), "-o", str(tmp_path))
            status, output = await suite("server", "--url", url, *chosen)
    assert status == 0, output[output.find("=== SUMMARY") :]


@requires_node
@pytest.mark.parametrize("revision", REVISIONS)
async def test_our_downstream_half_does_what_the_revision_requires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    # Where logins are kept.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    # The suite starts all its scenarios at once: where they wait for each other, a late answer is no old server.
    monkeypatch.setattr("agent_mcp.downstream.handshake._PROBE_SECONDS", 30.0)
    with anyio.fail_after(120):
        async with open_driver() as port:
            monkeypatch.setenv(DRIVER_PORT, str(port))
            chosen = ("--requirements", revision, "--expected-failures", str(BASELINE))
            status, output = await suite("client", "--command", CLIENT, *chosen)
    assert status == 0, output[output.find("=== SUITE SUMMARY") :]
    for scenario in UNSCORED:
        assert f"✓ {scenario}: " in output
