"""Agents from Markdown files with front matter, the `.claude/agents/*.md` format.

The files are written for Claude Code: what of them means nothing here (its built-in tools, its model names) is
translated or left out with a warning. A file that can't be read costs no other one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agent_mcp.config.findings import Complaint, Findings
from agent_mcp.config.references import Known, check_agent
from agent_mcp.config.schema import AgentEntry
from agent_mcp.config.spelling import did_you_mean

_CLAUDE_MODELS = {
    "sonnet": "anthropic:claude-sonnet-5-5",
    "opus": "anthropic:claude-opus-5-5",
    "haiku": "anthropic:claude-haiku-5-5",
}
_BUILT_IN = re.compile(r"[A-Z][A-Za-z]*(\(.*\))?")
_KEY_LINE = re.compile(r"([A-Za-z_][\w-]*)\s*:(?:\s+(.*))?$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class AgentFile:
    """What was read from one file."""

    name: str
    entry: AgentEntry
    complaints: Sequence[Complaint] = ()


def read_agent_files(
    directories: Iterable[Path], *, known: Known, findings: Findings
) -> Mapping[str, AgentEntry]:
    """The agents of all `*.md` files by name; of two with one name the first counts."""
    agents: dict[str, AgentEntry] = {}
    for path in _files(directories, findings):
        # The same list of problems, with the agent's own file as the place.
        own = Findings(str(path), findings.errors, findings.problems)
        read = _read(path, known)
        if isinstance(read, str):
            own.warn(Complaint("", read, "mend or remove it; the other agents are not touched"))
            continue
        for complaint in (*read.complaints, *check_agent(read.entry, known)):
            own.warn(complaint)
        if read.name in agents:
            own.warn(Complaint("name", f"another file before it has the agent `{read.name}`", "rename one"))
            continue
        agents[read.name] = read.entry
    return agents


def _files(directories: Iterable[Path], findings: Findings) -> Iterator[Path]:
    for directory in directories:
        try:
            yield from sorted(path for path in directory.iterdir() if path.suffix.lower() == ".md")
        except OSError as error:
            reason = error.strerror or str(error)
            findings.warn(Complaint("agents_dir", f"{directory} can't be read: {reason}", "check the path"))


def _read(path: Path, known: Known) -> AgentFile | str:
    """The agent, or what is wrong with the whole file."""
    # A link may lead elsewhere, but not to a file of another kind, and a pipe would be waited for.
    if not path.is_file() or path.resolve().suffix.lower() != ".md":
        return "is, or leads to, no plain Markdown file"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return f"can't be read: {error.strerror or error}"
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    parts = _split(text)
    if parts is None:
        return "has no front matter: it must begin with a line `---`, and a second one must end it"
    header, body = parts
    return to_agent(_front_matter(header), body.strip(), stem=path.stem, known=known)


def _split(text: str) -> tuple[str, str] | None:
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return None
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:number]), "\n".join(lines[number + 1 :])
    return None


def _front_matter(header: str) -> dict[str, Any]:
    """YAML; where it is not quite (an unquoted colon in a description, as is common), line by line."""
    import yaml  # Only those who have agent files pay for its import.

    try:
        data = yaml.safe_load(header)
    except (yaml.YAMLError, ValueError, RecursionError):
        return _line_by_line(header)
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _line_by_line(header: str) -> dict[str, Any]:
    """`key: value` lines, each with what is indented or listed under it."""
    data: dict[str, Any] = {}
    key = ""
    for line in header.splitlines():
        if found := _KEY_LINE.match(line):
            key = found[1]
            data[key] = _line_value((found[2] or "").strip())
        elif key and line.strip().startswith("- "):
            before = data[key]
            item = line.strip()[2:].strip().strip("\"'")
            data[key] = [*cast("list[str]", before), item] if isinstance(before, list) else [item]
        elif key and line.strip() and isinstance(data[key], str):
            data[key] = f"{data[key]} {line.strip()}".strip()
    return data


def _line_value(written: str) -> str | list[str]:
    """The text after a key; `[a, b]` is a list there too."""
    if written.startswith("[") and written.endswith("]"):
        return [item.strip().strip("\"'") for item in written[1:-1].split(",") if item.strip()]
    return written.strip("\"'")


def to_agent(header: Mapping[str, Any], body: str, *, stem: str, known: Known) -> AgentFile:
    """The agent that front matter and body describe; `stem` names it where the header does not."""
    complaints: list[Complaint] = []
    entry = AgentEntry(
        description=str(header.get("description") or ""),
        instructions=body,
        model=_model(header.get("model"), known.models),
        servers=_servers(header.get("mcpServers"), known.servers, complaints),
        tools=_tools(header.get("tools"), complaints),
        max_steps=_max_steps(header.get("maxTurns"), complaints),
    )
    if header.get("disallowedTools"):
        complaints.append(Complaint("disallowedTools", "is not read", "name the tools it may use in `tools`"))
    return AgentFile(str(header.get("name") or "").strip() or stem, entry, complaints)


def _model(written: object, aliases: Sequence[str]) -> str | None:
    """Claude Code's short names mean its models, unless the config gives them a meaning of its own."""
    if not isinstance(written, str) or written in {"", "inherit"}:
        return None
    if written in aliases:
        return written
    if written.startswith("claude-"):
        return f"anthropic:{written}"
    return _CLAUDE_MODELS.get(written, written)


def _servers(written: object, known: Sequence[str], complaints: list[Complaint]) -> tuple[str, ...] | None:
    """Names of servers; a definition inside the agent's file is taken by its name alone."""
    if written is None:
        return None
    names: list[str] = []
    for item in _items(written):
        found = list(cast("dict[object, object]", item)) if isinstance(item, dict) else [item]
        names += [str(name) for name in found]
    for name in names:
        if name not in known:
            problem = f"there is no server `{name}` in the config"
            complaints.append(Complaint("mcpServers", problem, did_you_mean(name, known)))
    return tuple(name for name in names if name in known)


def _tools(written: object, complaints: list[Complaint]) -> tuple[str, ...] | None:
    """Patterns as ours are; None, all tools, only where the file does not speak of tools at all."""
    if written is None or written == "":
        return None
    patterns: list[str] = []
    built_in: list[str] = []
    for item in _items(written):
        name = str(item).strip()
        (built_in if _BUILT_IN.fullmatch(name) else patterns).append(_to_pattern(name))
    if built_in:
        problem = f"{', '.join(built_in)}: built into Claude Code, not there for our agents"
        complaints.append(Complaint("tools", problem, "name tools of the config's servers, `server__tool`"))
    return tuple(patterns)


def _to_pattern(name: str) -> str:
    """`mcp__server__tool` as `server__tool`; `mcp__server` alone means all tools of the server."""
    if not name.startswith("mcp__"):
        return name
    rest = name.removeprefix("mcp__")
    return rest if "__" in rest or rest == "*" else f"{rest}__*"


def _items(written: object) -> list[object]:
    """A list as it is, a mapping as one item, a string at its commas."""
    if isinstance(written, list):
        return cast("list[object]", written)
    if isinstance(written, str):
        return [part.strip() for part in _COMMA_OUTSIDE_PARENTHESES.split(written) if part.strip()]
    return [written]


def _max_steps(written: object, complaints: list[Complaint]) -> int | None:
    if written is None:
        return None
    try:
        steps = int(str(written))
    except ValueError:
        steps = 0
    if steps >= 1:
        return steps
    complaints.append(Complaint("maxTurns", "must be a whole number from 1 up; not used", "write a number"))
    return None
