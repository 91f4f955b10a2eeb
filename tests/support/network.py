"""A network of two for tests that cut it: a namespace for one process, joined to us by a pair of virtual cards.

Needs root and `ip` (Debian: iproute2). See https://man7.org/linux/man-pages/man8/ip-netns.8.html
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., object])

_ABLE = shutil.which("ip") is not None and hasattr(os, "geteuid") and os.geteuid() == 0


def requires_network_namespaces(test: Test) -> Test:
    """Skip a test where no namespace can be made."""
    return pytest.mark.skipif(not _ABLE, reason="network namespaces need root and `ip`")(test)


@dataclass(frozen=True)
class Namespace:
    """Another network, and the way there."""

    name: str
    our_address: str
    """Ours, as it is reached from there."""

    def cut(self) -> None:
        """From now on what is sent either way is lost, without a word to either side."""
        _ip("link", "set", self.name, "down")

    def mend(self) -> None:
        """Let it through again."""
        _ip("link", "set", self.name, "up")


@contextmanager
def open_namespace() -> Generator[Namespace]:
    """A namespace with a cable to us."""
    name, number = f"amcp{os.getpid() % 10_000_000}", os.getpid() % 250
    ours, theirs = f"10.213.{number}.1", f"10.213.{number}.2"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "far", "netns", name)
        _ip("address", "add", f"{ours}/24", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "address", "add", f"{theirs}/24", "dev", "far")
        _ip("-n", name, "link", "set", "far", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield Namespace(name, ours)
    finally:
        _ip("netns", "delete", name)


def enter(name: str) -> None:
    """Move this process into a namespace, before it opens any connection.

    Raises:
        OSError: it may not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if libc.setns(descriptor, 0):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {name}")
    finally:
        os.close(descriptor)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
