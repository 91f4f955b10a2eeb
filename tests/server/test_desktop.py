"""The notification: which program, with what text, and never in the way of the call."""

import shutil
import sys
from pathlib import Path

import pytest

from agent_mcp.agent.messages import ToolCall
from agent_mcp.server.desktop import TITLE, Command, DesktopNotifier, command_for, text_for
from agent_mcp.sessions.log import CallState


def call(call_id: str = "c1", tool: str = "send", server: str = "mail") -> CallState:
    return CallState(ToolCall(call_id, f"{server}__{tool}", {"to": "secret@x"}), 0, server, tool)


def found(name: str) -> str:
    return f"/bin/{name}"


def test_the_text_names_the_tool_and_the_server_and_nothing_of_the_arguments() -> None:
    assert text_for(call()) == "send on server mail. Answer with: agent-mcp approvals"
    odd = text_for(call(tool="x\u202e\n" + "y" * 500))
    assert "\n" not in odd and "\u202e" not in odd and len(odd) < 150


@pytest.mark.parametrize("environ", [{"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "wayland-0"}])
def test_on_linux_it_is_notify_send_with_no_markup(environ: dict[str, str]) -> None:
    command = command_for("a <b> & c", platform="linux", environ=environ, which=found)
    argv = ["/bin/notify-send", "--app-name=agent-mcp", "--", TITLE, "a &lt;b&gt; &amp; c"]
    assert command == Command(argv)


def test_on_a_mac_and_on_windows_the_text_is_never_part_of_the_script() -> None:
    mac = command_for('" & quit', platform="darwin", environ={}, which=found)
    windows = command_for("'; exit", platform="win32", environ={}, which=found)
    assert mac is not None and windows is not None
    assert (mac.argv[0], mac.argv[3]) == ("/bin/osascript", '" & quit')
    assert '" & quit' not in mac.argv[2]
    assert windows.env["AGENT_MCP_NOTICE_TEXT"] == "'; exit"
    assert not any("'; exit" in part for part in windows.argv)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_where_there_is_no_such_program_or_no_desktop_there_is_no_notification(platform: str) -> None:
    desktop = {"DISPLAY": ":0"}
    assert command_for("x", platform=platform, environ=desktop, which=lambda _: None) is None
    assert command_for("x", platform="linux", environ={}, which=found) is None


def test_each_call_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", found)
    started: list[Command] = []
    notifier = DesktopNotifier(started.append)
    notifier.tell([call("c1"), call("c2")])
    notifier.tell([call("c1")])
    assert len(started) == 2


def test_a_program_that_fails_or_is_not_there_is_nobodys_trouble(tmp_path: Path) -> None:
    notifier = DesktopNotifier()
    start = notifier._start  # pyright: ignore[reportPrivateUsage]  # the default, which no test may await otherwise
    start(Command([str(tmp_path / "missing")]))
    start(Command([sys.executable, "-c", "raise SystemExit(3)"]))
