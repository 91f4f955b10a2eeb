"""`doctor` says who else can read a secret, and where the system allows less than the config can need."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_mcp.cli.open_files import check_open_files, needed_files, raise_limit
from agent_mcp.cli.safety_checks import check_safety, check_store_file
from agent_mcp.config.schema import Config, ServerEntry, ServerSettings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and limits are those of POSIX")

if sys.platform != "win32":
    import resource


@pytest.fixture
def small_limit() -> Iterator[None]:
    """A soft limit far below the hard one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("mode", "who"), [(0o644, "everybody"), (0o640, "its group"), (0o600, None)])
def test_a_secret_file_that_others_can_read_is_a_finding(tmp_path: Path, mode: int, who: str | None) -> None:
    file = tmp_path / "key"
    file.write_text("secret")
    file.chmod(mode)
    found = list(check_safety(Config(secret_files=(str(file),))))
    assert [(who or "") in finding.message and finding.fix == f"chmod 600 {file}" for finding in found] == (
        [True] if who else []
    )


@pytest.mark.parametrize(("mode", "who"), [(0o644, "everybody"), (0o620, "its group"), (0o600, None)])
def test_a_store_that_others_can_read_or_change_is_a_finding(
    tmp_path: Path, mode: int, who: str | None
) -> None:
    file = tmp_path / "sessions.db"
    file.touch()
    file.chmod(mode)
    found = list(check_store_file(file))
    assert [(who or "") in finding.message and finding.fix == f"chmod 600 {file}" for finding in found] == (
        [True] if who else []
    )


def test_more_stdio_servers_than_may_run_at_once_are_a_finding() -> None:
    servers = {name: ServerEntry(command="x") for name in "abc"}
    config = Config(servers=servers, server=ServerSettings(max_children=2))
    (finding,) = check_safety(config)
    assert "3 stdio servers" in finding.message
    assert "server.max_children" in finding.fix


@pytest.mark.usefixtures("small_limit")
def test_the_limit_of_open_files_is_raised_to_what_the_config_can_need() -> None:
    config = Config(server=ServerSettings(max_children=100, max_connections=50))
    raise_limit(config, http=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == min(hard, needed_files(config, http=True)) > 600


def test_a_hard_limit_below_what_the_config_can_need_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def limits(_: int) -> tuple[int, int]:
        return 256, 300

    monkeypatch.setattr(resource, "getrlimit", limits)
    (finding,) = check_open_files(Config())
    assert finding.message.startswith("300 files may be open at once")
    assert "ulimit" in finding.fix
