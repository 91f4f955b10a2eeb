"""The entries of `mcpServers`: expanded, checked, each for itself, so that a bad one never costs the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from agent_mcp.config.chaining import config_of_child
from agent_mcp.config.check import check, kind, unknown_keys
from agent_mcp.config.expand import Unset, expand, referred, unset
from agent_mcp.config.findings import Complaint, Findings
from agent_mcp.config.logins import problem_with_login, unknown_in_login, with_usual_login
from agent_mcp.config.names import FILE, KEYRING, with_names
from agent_mcp.config.paths import expand_home, resolve
from agent_mcp.config.roots import problem_with_root
from agent_mcp.config.schema import ServerEntry
from agent_mcp.config.secrets import is_secret_name

_OF_HOSTS = {
    *(
        "alwaysAllow",
        "alwaysLoad",
        "autoApprove",
        "description",
        "dev",
        "disabledTools",
        "displayName",
        "gallery",
    ),
    *("headersHelper", "icon", "icons", "metadata", "name", "tags", "title", "trust", "version"),
}
"""What hosts write into entries for themselves; it means nothing here, so nobody is warned of it."""
_FILLED_HERE = {"confidential"}
"""Fields of an entry that are no keys of it."""
_HTTP_ALIASES = {"streamable-http", "streamable_http", "streamablehttp"}


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that entries come from, and what they are read with."""

    file: Path
    is_host_file: bool
    """A host's own file, in which an entry that starts agent-mcp means this very program."""
    environ: Mapping[str, str]


@dataclass(slots=True)
class Servers:
    """What became of the entries."""

    usable: dict[str, ServerEntry] = field(default_factory=dict[str, ServerEntry])
    unavailable: dict[str, str] = field(default_factory=dict[str, str])
    disabled: list[str] = field(default_factory=list[str])
    left_out: dict[str, ServerEntry] = field(default_factory=dict[str, ServerEntry])
    """Entries of a host's file that start agent-mcp."""
    ignored: list[str] = field(default_factory=list[str])
    """Keys that other hosts wrote for themselves, `docs.autoApprove`."""

    @property
    def names(self) -> Sequence[str]:
        """All that an agent may name."""
        return (*self.usable, *self.unavailable, *self.disabled)


def read_servers(entries: Mapping[str, object], origin: Origin, findings: Findings) -> Servers:
    """All entries; whatever is wrong with one goes to `findings` and makes that one unavailable."""
    servers = Servers()
    for name, raw in entries.items():
        if _is_disabled(raw):
            servers.disabled.append(name)
            continue
        servers.ignored += _keys_of_hosts(name, raw)
        entry, complaints = _read_entry(name, raw, origin, findings)
        if entry and entry.disabled:
            servers.disabled.append(name)
        elif entry and not complaints:
            _place(name, entry, origin=origin, findings=findings, servers=servers)
        elif origin.is_host_file and (ours := _own_start(raw, origin)):
            _leave_out(name, ours, findings, servers)
        else:
            _make_unavailable(name, complaints, findings, servers)
    return servers


def _is_disabled(raw: object) -> bool:
    return isinstance(raw, dict) and cast("dict[str, object]", raw).get("disabled") is True


def _keys_of_hosts(name: str, raw: object) -> Sequence[str]:
    keys = cast("dict[str, object]", raw) if isinstance(raw, dict) else {}
    return [f"{name}.{key}" for key in keys if key in _OF_HOSTS]


def _make_unavailable(
    name: str, complaints: Sequence[Complaint], findings: Findings, servers: Servers
) -> None:
    for complaint in complaints:
        findings.warn(complaint, server=name)
    first = complaints[0]
    servers.unavailable[name] = f"{first.problem} ({first.key}" + (f"; {first.hint})" if first.hint else ")")


def _read_entry(
    name: str, raw: object, origin: Origin, findings: Findings
) -> tuple[ServerEntry | None, Sequence[Complaint]]:
    key = f"mcpServers.{name}"
    if not isinstance(raw, dict):
        return None, [Complaint(key, f"must be an object, not {kind(raw)}")]
    data = cast("dict[str, Any]", raw)
    ours = {name: value for name, value in data.items() if name not in _OF_HOSTS}
    for complaint in unknown_keys(ServerEntry, ours, key=key, besides=_FILLED_HERE):
        findings.warn(complaint)
    if missing := [_unset_complaint(key, each, origin) for each in unset(data, origin.environ)]:
        return None, missing
    for complaint in unknown_in_login(data, key=key):
        findings.warn(complaint)
    expanded = with_usual_login(_with_usual_type(expand(data, origin.environ)))
    entry, complaints = check(ServerEntry, expanded, key=key, strict=False)
    if entry is None:
        return None, complaints
    entry = entry.model_copy(update={"confidential": _confidential(data, origin)})
    return entry, [complaint.under(key) for complaint in _shape(entry)]


def _confidential(data: Mapping[str, Any], origin: Origin) -> tuple[str, ...]:
    """What came in as a secret, wherever in the entry it was put."""
    names = (name for name in dict.fromkeys(referred(dict(data))) if is_secret_name(name))
    return tuple(value for name in names if (value := origin.environ.get(name)))


def _own_start(raw: object, origin: Origin) -> ServerEntry | None:
    """The command of an entry that can't be used by us and need not be: the host starts agent-mcp with it."""
    if not isinstance(raw, dict):
        return None
    data = cast("dict[str, Any]", raw)
    start = {key: data[key] for key in ("command", "args") if key in data}
    entry, _ = check(ServerEntry, expand(start, origin.environ), strict=False)
    return entry if entry and config_of_child(entry, origin.environ) is not None else None


def _unset_complaint(server_key: str, each: Unset, origin: Origin) -> Complaint:
    name, why = each.variable, with_names(origin.environ).why_missing(each.variable)
    what = "set it" if name.startswith((FILE, KEYRING)) else f"set {name} where agent-mcp is started"
    return Complaint(f"{server_key}.{each.key}", why, f"{what}, or write ${{{name}:-a default}}")


def _with_usual_type(data: dict[str, Any]) -> dict[str, Any]:
    written = data.get("type")
    if isinstance(written, str) and written.lower() in _HTTP_ALIASES:
        return {**data, "type": "http"}
    return data


def _shape(entry: ServerEntry) -> list[Complaint]:
    """What the types alone can't say: stdio has a command, the others an address."""
    if entry.command and entry.url:
        return [Complaint("", "has both `command` and `url`", "keep one of them")]
    if not entry.command and not entry.url:
        return [Complaint("", "has neither `command` nor `url`", "name the program to start, or the address")]
    if entry.type == "stdio" and entry.url:
        return [Complaint("type", "is `stdio`, but there is no `command`", "write `http` or `sse`")]
    if entry.type in {"http", "sse"} and entry.command:
        return [
            Complaint("type", f"is `{entry.type}`, but there is no `url`", "write `stdio`, or leave it out")
        ]
    if entry.url and not _is_http_address(entry.url):
        return [Complaint("url", "is not an http or https address", "write https://host/path")]
    if entry.oauth and (problem := problem_with_login(entry.oauth)):
        return [problem.under("oauth")]
    return [
        Complaint(f"roots.{index}", f"{root!r} {problem}", "write an absolute path, ~/path or a file:// URI")
        for index, root in enumerate(entry.roots)
        if not root.startswith("~") and (problem := problem_with_root(root))
    ]


def _is_http_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _place(name: str, entry: ServerEntry, *, origin: Origin, findings: Findings, servers: Servers) -> None:
    """A sound entry goes among the usable ones, unless it would start us again with the same config."""
    entry = _with_whole_paths(entry, origin)
    child_config = config_of_child(entry, origin.environ)
    key = f"mcpServers.{name}"
    if child_config is not None and origin.is_host_file:
        _leave_out(name, entry, findings, servers)
        return
    if child_config is not None and child_config.resolve() == origin.file.resolve():
        complaint = Complaint(
            key,
            "RECURSION_LIMIT: starts agent-mcp with this same config",
            "give it a config of its own: --config OTHER-FILE",
        )
        _make_unavailable(name, [complaint], findings, servers)
        return
    servers.usable[name] = entry


def _leave_out(name: str, entry: ServerEntry, findings: Findings, servers: Servers) -> None:
    servers.left_out[name] = entry
    key = f"mcpServers.{name}"
    hint = 'right in a host\'s file; in one of your own add "defaults": {} to have it as a server'
    findings.warn(Complaint(key, "starts agent-mcp itself; left out", hint))


def _with_whole_paths(entry: ServerEntry, origin: Origin) -> ServerEntry:
    update: dict[str, Any] = {}
    if entry.command:
        update["command"] = str(expand_home(entry.command, origin.environ))
    if entry.cwd:
        update["cwd"] = str(resolve(entry.cwd, base=origin.file.parent, environ=origin.environ))
    if entry.roots:
        update["roots"] = tuple(
            str(expand_home(root, origin.environ)) if root.startswith("~") else root for root in entry.roots
        )
    return entry.model_copy(update=update)
