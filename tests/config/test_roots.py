"""Roots of a server: paths and URIs of both kinds of machine, and what is none."""

import json
from pathlib import Path

import pytest

from agent_mcp.config.load import load_config
from agent_mcp.config.roots import problem_with_root, root_path, root_uri


@pytest.mark.parametrize(
    ("root", "windows", "uri"),
    [
        ("/srv/a b", False, "file:///srv/a%20b"),
        ("/", False, "file:///"),
        ("/ümlaut#1", False, "file:///%C3%BCmlaut%231"),
        (r"C:\Users\a b", True, "file:///C:/Users/a%20b"),
        ("C:/", True, "file:///C:/"),
        (r"\\host\share\x", True, "file://host/share/x"),
        ("file:///already/one", False, "file:///already/one"),
        ("FILE:///C:/one", True, "FILE:///C:/one"),
    ],
)
def test_a_root_is_told_as_a_uri(root: str, windows: bool, uri: str) -> None:
    assert problem_with_root(root, windows=windows) is None
    assert root_uri(root, windows=windows) == uri


@pytest.mark.parametrize(
    ("root", "windows", "path"),
    [
        ("/srv", False, "/srv"),
        ("file:///srv/a%20b", False, "/srv/a b"),
        ("file://localhost/srv", False, "/srv"),
        ("file:///C:/a%20b", True, r"C:\a b"),
        ("file://host/share/x", True, r"\\host\share\x"),
    ],
)
def test_a_root_is_looked_for_as_a_path(root: str, windows: bool, path: str) -> None:
    assert str(root_path(root, windows=windows)) == path


@pytest.mark.parametrize(
    ("root", "windows"),
    [
        ("src", False),
        ("", False),
        ("./src", False),
        ("https://example.org/x", False),
        (r"C:\x", False),
        (r"\x", True),
        ("C:x", True),
        ("file://", False),
    ],
)
def test_what_is_no_absolute_path_is_no_root(root: str, windows: bool) -> None:
    assert problem_with_root(root, windows=windows)


def _servers(folder: Path, *roots: object, **environ: str) -> object:
    entry = {"command": "server", "roots": list(roots)}
    file = folder / "config.json"
    file.write_text(json.dumps({"mcpServers": {"s": entry}}), encoding="utf-8")
    config = load_config(str(file), {"HOME": str(folder), **environ})
    return config.servers["s"].roots if "s" in config.servers else config.unavailable["s"]


def test_home_and_variables_expand_in_a_configs_roots(tmp_path: Path) -> None:
    found = _servers(tmp_path, "~/work", "${WORK}/x", "file:///y", WORK="/srv")
    assert found == (str(tmp_path / "work"), "/srv/x", "file:///y")


@pytest.mark.parametrize(
    ("root", "problem"),
    [("src", "'src' is not an absolute path"), ("${NOTHING}", "NOTHING is not set"), (5, "roots")],
)
def test_a_wrong_root_makes_its_server_unavailable_and_says_where(
    tmp_path: Path, root: object, problem: str
) -> None:
    assert problem in str(_servers(tmp_path, "/fine", root))
