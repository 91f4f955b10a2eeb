"""`agent-mcp sessions`: look at, export and delete what is in the store. Starts no server and runs no turn."""

import os
from argparse import Namespace
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial

from agent_mcp.cli.lifetime import run_to_end
from agent_mcp.cli.startup import configure
from agent_mcp.cli.terminal import counted
from agent_mcp.cli.upkeep import all_sessions, export_sessions, import_sessions, prune_sessions
from agent_mcp.config.blot import Blot
from agent_mcp.config.schema import Config
from agent_mcp.config.secrets import declared_secrets
from agent_mcp.errors import SessionNotFoundError
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.logs import SessionLogs
from agent_mcp.sessions.ports import SessionListing, SessionRecord, SessionStore
from agent_mcp.sessions.transcript import as_markdown, entries
from agent_mcp.store.open import default_store_url, open_store


def run(options: Namespace) -> int:
    """Do one of the actions.

    Raises:
        ConfigError: the config is wrong.
        PublicError: there is no such session, it is busy, or the store can't be used.
    """
    return run_to_end(partial(_act, options, configure(options)))


async def _act(options: Namespace, config: Config) -> int:
    async with _open(config) as store:
        try:
            await _act_on(store, options, config)
        except SessionNotFoundError as error:
            hint = "`agent-mcp sessions list` shows them all"
            raise SessionNotFoundError(error.message, hint=hint) from error
    return 0


async def _act_on(store: SessionStore, options: Namespace, config: Config) -> None:
    match options.action:
        case "list":
            await _list(store)
        case "show":
            await _show(store, options.session_id, Blot(declared_secrets(config, os.environ)))
        case "delete":
            await _delete(store, options.session_id)
        case "export":
            await export_sessions(store, options)
        case "import":
            await import_sessions(store, options)
        case _:
            await prune_sessions(store, options, config.retention)


@asynccontextmanager
async def _open(config: Config) -> AsyncGenerator[SessionStore]:
    async with open_store(config.store or default_store_url(os.environ)) as store:
        yield store


async def _list(store: SessionStore) -> None:
    lines = await all_sessions(store)
    if not lines:
        print("no sessions yet")
        return
    logs = SessionLogs(store)
    rows = [("SESSION", "STATUS", "TURNS", "UPDATED", "AGENT", "TITLE")]
    for line in lines:
        status = await _status(line, logs)
        rows.append((line.id, status, str(line.turns), _time(line.updated_at), line.agent or "-", line.title))
    _print_table(rows)


async def _status(line: SessionListing, logs: SessionLogs) -> str:
    """Only of a turn that has not ended the log must be read: it may wait for a person."""
    if line.closed:
        return "closed"
    if line.turn_status in (None, "done"):
        return "idle"
    return (await logs.state(line.id)).status


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, " ".join(row[-1].split())]).rstrip())


async def _show(store: SessionStore, session_id: str, hide: Blot) -> None:
    record = await store.get(session_id)
    state = await SessionLogs(store).state(session_id)
    print(_header(record, state))
    print(hide(as_markdown(entries(state, "full"))))


def _header(record: SessionRecord, state: SessionState) -> str:
    forked = f", forked from {record.forked_from}" if record.forked_from else ""
    return (
        f"# Session {record.id}\n\n"
        f"agent {record.profile.agent or '-'}, model {record.profile.model or '-'}, {state.status}, "
        f"{counted(len(state.turns), 'turn')}, {counted(len(state.steps), 'step')}{forked}\n"
        f"started {_time(record.created_at)}, updated {_time(record.updated_at)}\n"
    )


async def _delete(store: SessionStore, session_id: str) -> None:
    await store.delete(session_id)
    print(f"deleted {session_id}")


def _time(at: float) -> str:
    """Local time, to the second."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
