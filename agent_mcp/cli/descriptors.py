"""Who owns the process's stdin and stdout while it serves over stdio. Standard library only: it must come first."""

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """The descriptors on which the messages go, moved away from 0 and 1."""

    read_fd: int
    write_fd: int


def claim_wire() -> Wire:
    """Take stdin and stdout away from everybody else in this process and its children.

    From here on descriptor 0 is at its end, and what is printed to descriptor 1 goes to stderr: a stray line on
    stdout would break the host's connection.
    """
    sys.stdout.flush()
    wire = Wire(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if sys.platform == "win32":
        # There children inherit handles, not descriptors.
        from mcp.os.win32.utilities import rebind_std_handle_to_fd

        rebind_std_handle_to_fd(0)
        rebind_std_handle_to_fd(1)
    return wire
