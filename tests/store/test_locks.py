"""Who lives is told by lock files."""

from pathlib import Path

from agent_mcp.store.locks import Owners


def test_an_owner_lives_until_it_lets_go(tmp_path: Path) -> None:
    one, other = Owners(tmp_path), Owners(tmp_path)
    assert one.is_alive(one.me) and one.is_alive(other.me) and other.is_alive(one.me)
    other.release()
    assert not one.is_alive(other.me)
    assert [file.stem for file in tmp_path.iterdir()] == [one.me]
    one.release()
    assert not list(tmp_path.iterdir())


def test_an_owner_that_nobody_knows_is_dead(tmp_path: Path) -> None:
    owners = Owners(tmp_path)
    assert not owners.is_alive("1234-0")
    assert [file.stem for file in tmp_path.iterdir()] == [owners.me]
    owners.release()


def test_the_files_of_dead_owners_are_removed_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "1234-0.owner").touch()
    (tmp_path / "open.lock").touch()
    living = Owners(tmp_path)
    newest = Owners(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "open.lock",
        f"{living.me}.owner",
        f"{newest.me}.owner",
    }
    newest.release()
    living.release()
