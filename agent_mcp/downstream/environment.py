"""What a child process inherits: little, so that no server reads a key that was not meant for it.

Pure: the environment comes in as an argument. The base set is that of the MCP SDK (`mcp.client.stdio`,
`DEFAULT_INHERITED_ENV_VARS`); to it come proxies, certificates and locale, without which much works at home and not
in a company.
"""

from collections.abc import Iterable, Mapping

from agent_mcp.sessions.chain import DEPTH_VARIABLE, depth_of

_POSIX = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
_WINDOWS = (
    "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE",
    "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
)  # fmt: skip
_NETWORK_AND_LOCALE = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "LANG", "LANGUAGE", "TZ", "TMPDIR",
)  # fmt: skip


def child_environment(
    ours: Mapping[str, str], *, inherit: Iterable[str], own: Mapping[str, str], platform: str
) -> dict[str, str]:
    """The whole environment of a child: the base set, the names in `inherit`, and its `own` variables over them.

    A child that is an agent-mcp itself learns from it how deep it stands (`sessions.chain`).

    `platform` is `sys.platform`; on Windows names are compared without regard to case.
    """
    fold = str.upper if platform == "win32" else str
    base = _WINDOWS if platform == "win32" else _POSIX
    wanted = {fold(name) for name in (*base, *_NETWORK_AND_LOCALE, *inherit)}
    env = {
        name: value for name, value in ours.items() if _is_passed(name, value, wanted=wanted, key=fold(name))
    }
    replaced = {fold(name) for name in own}
    kept = {name: value for name, value in env.items() if fold(name) not in replaced}
    return kept | dict(own) | {DEPTH_VARIABLE: str(depth_of(ours) + 1)}


def _is_passed(name: str, value: str, *, wanted: set[str], key: str) -> bool:
    # A value that begins with "()" is an exported shell function (the Shellshock hole); the SDK leaves it out too.
    return (key in wanted or name.startswith("LC_")) and not value.startswith("()")
