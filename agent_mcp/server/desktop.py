"""A desktop notification of a call that waits for approval, where the system has one. Best effort, and never awaited.

It says which server and tool, and nothing of the arguments: a notification may be read by whoever sees the screen.
Nothing goes through a shell, and no text of ours or of a server is ever part of a script.
"""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent_mcp.sessions.log import CallState
from agent_mcp.sessions.transcript import cut

log = logging.getLogger(__name__)

TITLE = "agent-mcp: a call waits for approval"
NAME_CHARACTERS = 60
_TIMEOUT_SECONDS = 10.0
_REMEMBERED = 1_000

_APPLESCRIPT = "on run argv\ndisplay notification (item 1 of argv) with title (item 2 of argv)\nend run"
_POWERSHELL = """
[Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType=WindowsRuntime] | Out-Null
$kind = [Windows.UI.Notifications.ToastTemplateType]::ToastText02
$toast = [Windows.UI.Notifications.ToastNotificationManager]::GetTemplateContent($kind)
$lines = $toast.GetElementsByTagName('text')
$lines.Item(0).AppendChild($toast.CreateTextNode($env:AGENT_MCP_NOTICE_TITLE)) | Out-Null
$lines.Item(1).AppendChild($toast.CreateTextNode($env:AGENT_MCP_NOTICE_TEXT)) | Out-Null
$app = '{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\\WindowsPowerShell\\v1.0\\powershell.exe'
[Windows.UI.Notifications.ToastNotificationManager]::CreateToastNotifier($app).Show($toast)
"""
"""Texts come by the environment. The id is that of PowerShell's own entry in the start menu: a toast needs one.
https://learn.microsoft.com/uwp/api/windows.ui.notifications.toastnotificationmanager"""

Which = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Command:
    """A program to start."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Beside our own environment."""


def command_for(text: str, *, platform: str, environ: Mapping[str, str], which: Which) -> Command | None:
    """The program that shows the text on this system; None where there is none, or no desktop."""
    if platform == "darwin":
        program = which("osascript")
        return Command([program, "-e", _APPLESCRIPT, text, TITLE]) if program else None
    if platform == "win32":
        program = which("powershell")
        told = {"AGENT_MCP_NOTICE_TITLE": TITLE, "AGENT_MCP_NOTICE_TEXT": text}
        argv = [program or "", "-NoProfile", "-NonInteractive", "-Command", _POWERSHELL]
        return Command(argv, told) if program else None
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return None
    program = which("notify-send")
    # The text may be read as markup: https://specifications.freedesktop.org/notification-spec/latest/markup.html
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Command([program, "--app-name=agent-mcp", "--", TITLE, plain]) if program else None


def text_for(call: CallState) -> str:
    """Which tool waits, in one line of visible characters."""
    tool, server = (_visible(name) for name in (call.tool_name or call.call.name, call.server))
    return f"{tool} on server {server}. Answer with: agent-mcp approvals"


def _visible(name: str) -> str:
    return cut("".join(char if char.isprintable() else "?" for char in name), NAME_CHARACTERS)


class DesktopNotifier:
    """Tells of each waiting call once."""

    def __init__(self, start: Callable[[Command], None] | None = None) -> None:
        """`start` runs a command without waiting for it; default: in a thread of its own."""
        self._start = start or _start
        self._told: dict[str, None] = {}

    def tell(self, calls: Sequence[CallState]) -> None:
        """Show what was not shown yet. Returns at once, whatever comes of it."""
        for call in calls:
            if call.call.id in self._told:
                continue
            self._told[call.call.id] = None
            while len(self._told) > _REMEMBERED:
                del self._told[next(iter(self._told))]
            command = command_for(
                text_for(call), platform=sys.platform, environ=os.environ, which=shutil.which
            )
            if command is not None:
                self._start(command)


def _start(command: Command) -> None:
    threading.Thread(target=_run, args=(command,), name="agent-mcp notification", daemon=True).start()


def _run(command: Command) -> None:
    try:
        # Its own streams: ours carry the protocol.
        subprocess.run(
            list(command.argv),
            env={**os.environ, **command.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("no desktop notification: %s", error)
