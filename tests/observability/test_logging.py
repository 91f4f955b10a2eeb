"""Logs go to stderr, one line each, without secrets."""

import subprocess
import sys

PROGRAM = """
import logging, warnings
from agent_mcp.observability.logging import configure_logging
configure_logging({level!r}, {secrets!r}, debug={debug!r})
{body}
"""


def run(body: str, *, level: str = "INFO", secrets: tuple[str, ...] = (), debug: bool = False) -> list[str]:
    """The lines on stderr of a program that logs; nothing may come out on stdout."""
    program = PROGRAM.format(level=level, secrets=secrets, debug=debug, body=body)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_a_record_is_one_line_on_stderr() -> None:
    (line,) = run("logging.getLogger('agent_mcp.x').info('one\\ntwo %s', 3)")
    assert line.endswith("INFO agent_mcp.x: one | two 3")


def test_ours_are_logged_from_the_level_and_others_from_warning() -> None:
    body = """
for name in ('agent_mcp.x', 'httpx2'):
    for level in (10, 20, 30):
        logging.getLogger(name).log(level, f'{name} at {level}')
warnings.warn('old')
"""
    lines = [line.split(": ", 1)[1] for line in run(body)]
    assert lines[:3] == ["agent_mcp.x at 20", "agent_mcp.x at 30", "httpx2 at 30"]
    assert "old" in lines[3]


def test_an_unknown_level_means_warning() -> None:
    assert len(run("[logging.getLogger('agent_mcp').log(n, 'x') for n in (20, 30)]", level="loud")) == 1


def test_secrets_are_masked_wherever_they_appear() -> None:
    body = """
log = logging.getLogger('agent_mcp')
log.info('key %s', 'hunter22')
log.info('longer %s', 'hunter22-long')
log.info('Authorization: Bearer abc.def')
log.info('sk-ant-REDACTED')
try:
    raise ValueError('bad hunter22')
except ValueError:
    log.exception('failed')
"""
    text = "\n".join(run(body, secrets=("hunter22", "hunter22-long"), debug=True))
    assert "hunter22" not in text and "-long" not in text
    assert "abc.def" not in text and "sk-ant" not in text
    assert text.count("***") >= 6


def test_a_traceback_comes_out_only_in_debug() -> None:
    body = """
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger('agent_mcp').exception('failed')
"""
    (line,) = run(body)
    assert line.endswith("failed (ZeroDivisionError: division by zero)")
    assert any("Traceback" in line for line in run(body, debug=True))
