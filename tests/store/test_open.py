"""From an address to a store: paths, permissions, and what is said when it cannot be."""

import sqlite3
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from agent_mcp.errors import ConfigError, StoreError
from agent_mcp.store.open import default_store_url, open_store
from tests.contracts.store_contract import session

pytestmark = pytest.mark.anyio


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def names(directory: Path) -> set[str]:
    """What lies in it."""
    return {file.name for file in directory.iterdir()}


async def test_a_new_store_is_readable_by_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "sessions.db"
    async with open_store(f"sqlite:///{path}") as store:
        await store.create(session("s1"), message="secret")
        files = {file.name: mode(file) for file in path.parent.iterdir()}
        locks = {mode(file) for file in path.with_name("sessions.db.owners").iterdir()}
    assert mode(path.parent) == 0o700
    assert files.pop("sessions.db.owners") == 0o700
    assert set(files) == {"sessions.db", "sessions.db-wal", "sessions.db-shm"}
    assert set(files.values()) == locks == {0o600}


async def test_a_closed_store_leaves_no_lock_and_no_log_behind(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    async with open_store(f"sqlite:///{path}") as store:
        await store.create(session("s1"), message="hello")
    assert names(tmp_path) == {"sessions.db", "sessions.db.owners"}
    assert names(tmp_path / "sessions.db.owners") == {"open.lock"}


async def test_the_path_may_be_relative_or_in_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for url in ("sqlite:///here.db", "sqlite:///~/there.db", f"sqlite:///{tmp_path}/100%20 é.db"):
        async with open_store(url):
            pass
    assert (tmp_path / "here.db").exists()
    assert (tmp_path / "home" / "there.db").exists()
    assert (tmp_path / "100%20 é.db").exists()


async def test_a_link_to_a_store_is_the_same_store(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    async with (
        open_store(f"sqlite:///{tmp_path}/real/s.db") as one,
        open_store(f"sqlite:///{tmp_path}/link/s.db") as other,
    ):
        await one.create(session("s1"), message="hello")
        assert await one.claim("s1", 1) is not None
        assert await other.unfinished() == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://user:secret@host/db", "unknown store 'mysql': sqlite and postgresql are known"),
        ("sessions.db", "no store address"),
        ("sqlite://sessions.db", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///~nobody-has-this-name/s.db", "home directory"),
    ],
)
def test_a_wrong_address_is_a_config_error_that_shows_right_ones(url: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "written",
    [
        "planted/pw",
        "p@planted",
        "1/planted",
        "pl?planted",
        "pl#planted",
        "[planted",
        "p%planted",
        "a planted",
    ],
)
async def test_a_password_in_a_store_address_is_never_shown(written: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError) as caught:
        async with open_store(f"postgresql://bob:{written}@127.0.0.1:9/db"):
            pass
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert "%" in caught.value.hint


def test_the_default_lies_in_the_users_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_store_url({}) == f"sqlite:///{tmp_path}/agent-mcp/sessions.db"
    assert default_store_url({"AGENT_MCP_STORE": "sqlite:///x.db"}) == "sqlite:///x.db"


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes\n" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt") as caught:
        async with open_store(f"sqlite:///{path}"):
            pass
    assert "no session store" in caught.value.hint
    assert path.read_text().startswith("these are my notes")


async def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    async with open_store(f"sqlite:///{path}") as store:
        await store.create(session("s1"))
        await store.append("s1", 0, [])
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"sessions\.db") as caught:
        async with open_store(f"sqlite:///{path}") as store:
            await store.get("s1")
    assert "damaged" in caught.value.hint


async def test_a_directory_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"sessions\.db") as caught:
        async with open_store(f"sqlite:///{tmp_path}/file/sessions.db"):
            pass
    assert "permissions" in caught.value.hint


async def test_a_directory_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "sessions.db").mkdir()
    with pytest.raises(StoreError, match=r"sessions\.db"):
        async with open_store(f"sqlite:///{tmp_path}/sessions.db"):
            pass


async def test_an_error_inside_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
            await store.create(session("s1"))
            raise ZeroDivisionError
    connection = sqlite3.connect(tmp_path / "s.db")
    assert connection.execute("SELECT id FROM sessions").fetchall() == [("s1",)]
    connection.close()


async def test_a_closed_store_says_that_it_is_closed(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/s.db") as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await store.get("s1")
    with pytest.raises(StoreError, match="closed"):
        await store.list(limit=1)
    with pytest.raises(StoreError, match="closed"):
        await store.submit("s1", "hello")


def test_importing_the_store_imports_no_sdk() -> None:
    heavy = "{'mcp', 'mcp_types', 'anthropic', 'openai', 'httpx2', 'psycopg', 'procrastinate'}"
    code = f"import sys, agent_mcp.store.open; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
