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
import yaml
from anyio.streams.text import TextReceiveStream

from tests.support.host import ROOT
from tests.support.node import node, node_package, requires_node

pytestmark = pytest.mark.anyio

REVISIONS = ("2025-11-25", "2026-07-28")
BASELINE = Path(__file__).with_name("baseline.yaml")
PACKAGE = "@modelcontextprotocol/conformance"
AUTH_WITNESS = "auth/metadata-default"
LATER = "json-schema-2020-12-preservation"
"""Added to the suite after both revisions; it counts for neither, and we pass it."""


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
async def test_our_downstream_half_does_what_the_revision_requires(revision: str) -> None:
    client = f"{sys.executable} -m tests.conformance.client"
    with anyio.fail_after(120):
        for scenario in client_scenarios(revision):
            chosen = (
                "--scenario",
                scenario,
                "--spec-version",
                revision,
                "--expected-failures",
                str(BASELINE),
            )
            # One after the other: the suite's own way is to start them all at once.
            status, output = await suite("client", "--command", client, *chosen)
            assert status == 0, f"{scenario}: {output}"


def client_scenarios(revision: str) -> list[str]:
    """What the suite requires of clients, with one scenario for all of `auth/*`."""
    required = Path(node_package(f"{PACKAGE}/requirements/{revision}.yaml")).read_text(encoding="utf-8")
    scenarios: list[str] = yaml.safe_load(required)["client"]
    return [*(one for one in scenarios if not one.startswith("auth/")), AUTH_WITNESS, LATER]
