"""`roots` of a server entry: folders and files that a server is told it may work in. Pure: looks at no disk.

A root is an absolute path of this machine or a `file://` URI, which is what goes over the wire:
https://modelcontextprotocol.io/specification/2025-11-25/client/roots
"""

import sys
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from urllib.parse import quote, unquote, urlsplit

_SCHEME = "file://"


def _is_windows() -> bool:
    return sys.platform == "win32"


def _pure(path: str, windows: bool | None) -> PurePath:
    return PureWindowsPath(path) if (_is_windows() if windows is None else windows) else PurePosixPath(path)


def problem_with_root(root: str, *, windows: bool | None = None) -> str | None:
    """Why it is no root, in words; None if it is one. `windows`: whose paths; None: this machine's."""
    if root.lower().startswith(_SCHEME):
        return None if root_path(root, windows=windows).is_absolute() else "names no absolute path"
    if "://" in root:
        return "is neither a path nor a file:// URI"
    return None if _pure(root, windows).is_absolute() else "is not an absolute path"


def root_uri(root: str, *, windows: bool | None = None) -> str:
    """A root as the server is told of it."""
    if root.lower().startswith(_SCHEME):
        return root
    path = _pure(root, windows)
    drive, text = path.drive, path.as_posix()
    if drive.startswith("\\\\"):
        return f"file:{quote(text)}"
    return f"{_SCHEME}{f'/{drive}' if drive else ''}{quote(text[len(drive) :])}"


def root_path(root: str, *, windows: bool | None = None) -> PurePath:
    """A root as a path, `file://host/share` as `\\\\host\\share`."""
    if not root.lower().startswith(_SCHEME):
        return _pure(root, windows)
    parts = urlsplit(root)
    path = unquote(parts.path)
    if parts.netloc and parts.netloc.lower() != "localhost":
        return _pure(f"//{parts.netloc}{path}", windows)
    # `file:///C:/x` has a slash before the drive that is no part of the path.
    drive = path.lstrip("/")
    if isinstance(_pure("", windows), PureWindowsPath) and PureWindowsPath(drive).drive:
        return PureWindowsPath(drive)
    return _pure(path, windows)
