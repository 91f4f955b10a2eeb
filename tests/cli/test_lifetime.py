"""A program ends when its work does, and in time when it is told to, whatever hangs."""

import signal
import subprocess
import sys
import time

import pytest

from agent_mcp.cli.lifetime import END_SECONDS

HEAD = """
import anyio, sys, threading, time
from agent_mcp.cli.lifetime import run_to_end
async def main():
    print("up", flush=True)
"""
TAIL = "\nsys.exit(run_to_end(main))"


def run(body: str, *signals: signal.Signals) -> tuple[int, float, str]:
    """Exit status, seconds from the first signal to the end, and the rest of stdout."""
    program = HEAD + "\n".join(f"    {line}" for line in body.splitlines()) + TAIL
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    begun = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    out, _ = process.communicate(timeout=20)
    return process.returncode, time.monotonic() - begun, out


def test_the_status_of_the_work_is_that_of_the_program() -> None:
    assert run("return 7")[0] == 7


def test_what_is_cleaned_up_on_the_way_out_is_waited_for() -> None:
    body = """
try:
    await anyio.sleep(60)
finally:
    with anyio.CancelScope(shield=True):
        await anyio.sleep(0.2)
        print("clean")
return 0"""
    status, seconds, out = run(body, signal.SIGTERM)
    assert (status, out) == (143, "clean\n")
    assert seconds < END_SECONDS


def test_the_first_signal_decides_the_status() -> None:
    assert run("await anyio.sleep(60)\nreturn 0", signal.SIGINT, signal.SIGTERM)[0] == 130


def test_who_was_started_with_nohup_outlives_its_terminal() -> None:
    begin = "import os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    body = "    os.kill(os.getpid(), signal.SIGHUP)\n    await anyio.sleep(0.1)\n    return 7"
    done = subprocess.run([sys.executable, "-c", begin + HEAD + body + TAIL], check=False, timeout=20)
    assert done.returncode == 7


@pytest.mark.parametrize(
    "body",
    [
        "await anyio.to_thread.run_sync(time.sleep, 60)\nreturn 0",
        "with anyio.CancelScope(shield=True):\n    await anyio.sleep(60)\nreturn 0",
    ],
)
def test_work_that_does_not_let_go_is_cut_off_in_time(body: str) -> None:
    status, seconds, _ = run(body, signal.SIGTERM)
    assert status == 143
    assert seconds < END_SECONDS + 0.6


def test_a_thread_that_hangs_does_not_hold_up_the_end() -> None:
    status, seconds, _ = run("threading.Thread(target=time.sleep, args=(60,)).start()\nreturn 3")
    assert status == 3
    assert seconds < 2
