"""The process's stdin, stdout and stderr: all three are there, and who owns the first two while it serves over stdio.

Standard library only: it must come first.
"""

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """The descriptors on which the messages go, moved away from 0 and 1."""

    read_fd: int
    write_fd: int


def fill_descriptors() -> None:
    """Put the null device where whoever started us has closed 0, 1 or 2: nothing is read or written there then, as
    was wished. Left free, the next file or socket would get the number, and with it what others print."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, and those below are all there by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


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
