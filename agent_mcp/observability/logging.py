"""Logs: on stderr, one line a record, secrets masked. stdout belongs to MCP and is never written to.

Knows the values that are secret only by being told them.
"""

import logging
import re
import sys
from collections.abc import Iterable

from agent_mcp.config.blot import MASK, Blot

_OUR_LOGGER = "agent_mcp"
_LOOKS_SECRET = re.compile(r"(?<=Bearer )[^\s\"',]+|\bsk-[A-Za-z0-9_-]{8,}", re.IGNORECASE)
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def configure_logging(level: str, secrets: Iterable[str], *, debug: bool = False) -> None:
    """Send all logs to stderr: ours from `level` (a name; an unknown one means WARNING), others' from WARNING.

    `secrets` are replaced wherever they would appear. Only `debug` lets tracebacks out, on lines of their own.
    May be called again when more secrets are known.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(secrets, tracebacks=debug))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    wanted = level.strip().upper()
    logging.getLogger(_OUR_LOGGER).setLevel(wanted if wanted in _LEVELS else logging.WARNING)
    logging.captureWarnings(True)
    # A full pipe or a host that has closed stderr must not put a traceback of the logger's own there.
    logging.raiseExceptions = debug


def masked(text: str) -> str:
    """The text without the secrets that `configure_logging` was told of, for what goes to stderr past the logs."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, MaskingFormatter):
            text = handler.formatter.masked(text)
    return text


class MaskingFormatter(logging.Formatter):
    """A record as one line without secrets; an exception as its type and message, or whole with `tracebacks`."""

    def __init__(self, secrets: Iterable[str], *, tracebacks: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._blot = Blot(secrets)
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        line = f"{self.formatTime(record)} {record.levelname} {record.name}: {self._message(record)}"
        line = line.replace("\r", "").replace("\n", " | ")
        if self._tracebacks and record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return self.masked(line)

    def _message(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        return message if error is None else f"{message} ({type(error).__name__}: {error})"

    def masked(self, text: str) -> str:
        """The text with `***` in the place of every secret, and of what looks like one."""
        return _LOOKS_SECRET.sub(MASK, self._blot(text))
