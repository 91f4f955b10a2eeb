"""`agent-mcp approvals`: answer waiting calls from outside the host. Starts no server and runs no turn.

Whoever can read the store is its operator, so the calls of every principal are shown. A process that runs the turn
sees the answer in the log; without one the turn rests until a server starts.
"""

import os
import time
from argparse import Namespace
from datetime import datetime
from functools import partial

from agent_mcp.cli.lifetime import run_to_end
from agent_mcp.cli.pins import accept_pins, show_pins
from agent_mcp.cli.startup import configure, same_command
from agent_mcp.cli.terminal import shown_arguments
from agent_mcp.config.blot import Blot
from agent_mcp.config.schema import Config
from agent_mcp.config.secrets import declared_secrets
from agent_mcp.sessions.approvals import WaitingCall, answer, waiting_calls
from agent_mcp.sessions.events import ApprovalGiven, GrantScope
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.store.open import default_store_url, open_store

_REACH: dict[GrantScope, str] = {
    "once": "",
    "arguments": ", and with these arguments for the rest of the session",
    "session": ", and for the rest of the session",
}


def run(options: Namespace) -> int:
    """Do one of the actions.

    Raises:
        ConfigError: the config is wrong.
        PublicError: no such call waits, or the store can't be used.
    """
    return run_to_end(partial(_act, options, configure(options)))


async def _act(options: Namespace, config: Config) -> int:
    async with open_store(config.store or default_store_url(os.environ)) as store:
        match options.action:
            case "allow":
                await _answer(store, ApprovalGiven(options.call_id, "allow", options.reason, options.scope))
            case "deny":
                await _answer(store, ApprovalGiven(options.call_id, "deny", options.reason))
            case "pins":
                await show_pins(store, config)
            case "accept":
                await accept_pins(store, config, options.server)
            case _:
                await _list(store, config, same_command(options))
    return 0


async def _list(store: SessionStore, config: Config, command: str) -> None:
    hide = Blot(declared_secrets(config, os.environ))
    calls = await waiting_calls(store, SessionLogs(store, hide=hide))
    if not calls:
        print("no call waits for approval")
        return
    print("\n\n".join(_described(waiting) for waiting in calls))
    print(f"\nanswer with: {command} approvals allow|deny CALL_ID [--reason TEXT]")
    print(f"for the rest of the session: {command} approvals allow CALL_ID --for arguments|session")


def _described(waiting: WaitingCall) -> str:
    call = waiting.call
    lines = [
        call.call.id,
        f"  session    {waiting.session_id} (agent {waiting.agent or '-'})",
        f"  tool       {call.call.name}",
        f"  arguments  {shown_arguments(call.veiled)}",
        *([f"  rule       {call.rule}"] if call.rule else []),
        f"  expires    {_expiry(waiting.expires_at)}",
    ]
    return "\n".join(lines)


def _expiry(at: float) -> str:
    """Local time; a call can only have expired unnoticed while no process ran its turn."""
    when = datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{when}, which is past: it counts as denied" if at <= time.time() else when


async def _answer(store: SessionStore, given: ApprovalGiven) -> None:
    call = await answer(store, SessionLogs(store), given, now=time.time())
    said = "allowed" if given.decision == "allow" else "denied"
    reach = _REACH[given.scope]
    print(f"{said} {call.call.name} ({given.call_id}){reach}")
