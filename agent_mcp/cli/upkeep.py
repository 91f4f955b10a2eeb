"""`agent-mcp sessions export|import|prune`: sessions out of the store, into it, and away. Knows no database."""

import shutil
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

import anyio.to_thread

from agent_mcp.cli.terminal import counted
from agent_mcp.config.schema import RetentionEntry
from agent_mcp.errors import AgentMcpError, ConfigError, SessionExistsError, SessionNotFoundError
from agent_mcp.sessions.ports import SessionListing, SessionStore
from agent_mcp.sessions.retention import expiry_of, prune_all
from agent_mcp.sessions.upkeep import Compaction, Expiry
from agent_mcp.store.archive import ArchivedSession, ArchiveReader, exported, header

_PAGE = 200
_EVERY = sys.maxsize


async def all_sessions(store: SessionStore) -> Sequence[SessionListing]:
    """Everybody's, by last update, newest first."""
    lines: list[SessionListing] = []
    before: tuple[float, str] | None = None
    while page := await store.list(principal=None, limit=_PAGE, before=before):
        lines += page
        before = page[-1].updated_at, page[-1].id
    return lines


async def export_sessions(store: SessionStore, options: Namespace) -> None:
    """One session, or all, as JSON Lines on stdout or in a new file. Of all, those are left out that go meanwhile.

    Raises:
        SessionNotFoundError: there is no such session; then no file was made.
        AgentMcpError: the file can't be made or written, or was there already; one that was begun is removed.
    """
    if options.all:
        ids = [line.id for line in await all_sessions(store)]
    else:
        ids = [(await store.get(options.session_id)).id]
    with _output(options.output) as file:
        file.write(f"{header()}\n")
        for session_id in ids:
            with suppress(SessionNotFoundError) if options.all else nullcontext():
                async for line in exported(store, session_id):
                    file.write(f"{line}\n")


@contextmanager
def _output(path: str | None) -> Generator[TextIO]:
    """stdout, or a new file for this user alone: what was said in sessions is nobody else's business."""
    if path is None:
        yield sys.stdout
        return
    new = Path(path)
    try:
        new.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise AgentMcpError(f"can't write {path}: {error.strerror} (choose another --output)") from error
    try:
        with new.open("w", encoding="utf-8", newline="\n") as file:
            yield file
    except BaseException as error:
        # Part of an export would pass for a backup, and stand in the way of the next try.
        new.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise AgentMcpError(f"can't write {path}: {error.strerror} (choose another --output)") from error
        raise


async def import_sessions(store: SessionStore, options: Namespace) -> None:
    """Every session of a file, each whole or not at all.

    Raises:
        SessionExistsError: an id is taken, and not to be skipped; those before it are imported.
        StoreError: the file is none of ours, of a newer version, or damaged; names the line.
        AgentMcpError: the file can't be read.
    """
    with _input(options.file) as file:
        imported, skipped, unfinished = 0, 0, 0
        for session in ArchiveReader(file, options.file).sessions():
            try:
                await store.restore(session.archive, session.events)
            except SessionExistsError:
                if not options.skip_existing:
                    raise
                await anyio.to_thread.run_sync(_pass_over, session)
                skipped += 1
                continue
            imported += 1
            unfinished += any(turn.status != "done" for turn in session.archive.turns)
    print(
        f"imported {counted(imported, 'session')}"
        + (f", left {skipped} alone that were there" if skipped else "")
    )
    if unfinished:
        have = "has" if unfinished == 1 else "have"
        print(f"{unfinished} of them {have} a turn that had not ended; it goes on when a server runs")


def _pass_over(session: ArchivedSession) -> None:
    for _ in session.events():
        pass


@contextmanager
def _input(path: str) -> Generator[BinaryIO]:
    """A file that can go back; stdin is copied to one."""
    if path == "-":
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
            file.seek(0)
            yield file
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise AgentMcpError(f"can't read {path}: {error.strerror}") from error
        yield file


async def prune_sessions(store: SessionStore, options: Namespace, retention: RetentionEntry) -> None:
    """Remove what the options, or else the config's `retention`, say; then give the space back.

    Raises:
        ConfigError: neither says anything.
    """
    expiry = _expiry(options, retention)
    if options.dry_run:
        ids = await store.expired(expiry, limit=_EVERY)
        print("\n".join([*ids, f"{counted(len(ids), 'session')} would be removed"]))
        return
    removed = await prune_all(store, expiry)
    print(f"removed {counted(removed, 'session')}")
    print(_told(await store.compact()))


def _expiry(options: Namespace, retention: RetentionEntry) -> Expiry:
    now = time.time()
    if options.older_than is not None or options.keep is not None:
        before = None if options.older_than is None else now - options.older_than
        return Expiry(before, options.keep)
    expiry = expiry_of(retention.days, retention.sessions, now=now)
    if expiry is None:
        hint = "give --older-than or --keep, or write retention in the config"
        raise ConfigError("sessions prune", "nothing says which sessions are old", hint=hint)
    return expiry


def _told(done: Compaction) -> str:
    if done.hindrance:
        size = _megabytes(done.free_bytes)
        return f"{size} are free inside the store for new sessions; not given back: {done.hindrance}"
    return f"the store has {_megabytes(done.after_bytes)}, {_megabytes(done.before_bytes - done.after_bytes)} less"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB"
