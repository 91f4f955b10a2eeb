"""How a host starts us, as its own config file says: the entry in it that is agent-mcp. Reads no file."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from agent_mcp.cli.findings import Finding
from agent_mcp.cli.model_checks import NOT_SEEN
from agent_mcp.config.chaining import config_of_child
from agent_mcp.config.schema import Config, ServerEntry


def environ_of_host(config: Config, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Our environment with the `env` of the host's entry, if the config is a host's file with one such entry."""
    entries = list(config.left_out.values())
    return {**environ, **entries[0].env} if len(entries) == 1 else environ


def check_host_entry(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What of the host's entry is used here, and whether it starts the server with this very file."""
    if len(config.left_out) > 1:
        message = f"{' and '.join(config.left_out)} start agent-mcp: {NOT_SEEN}"
        yield Finding("WARN", "host entry", message, "set the variables of one of them here")
    elif config.path is not None:
        for name, entry in config.left_out.items():
            names = ", ".join(entry.env)
            yield Finding("OK", f"host entry {name}", f"its `env` is used here: {names or 'it sets nothing'}")
            yield from _check_file(name, entry, file=Path(config.path), environ=environ)


def _check_file(
    name: str, entry: ServerEntry, *, file: Path, environ: Mapping[str, str]
) -> Iterator[Finding]:
    read = config_of_child(entry, environ)
    if read is None or read.resolve() == file.resolve():
        return
    subject, path = f"host entry {name}", read.absolute()
    if read.is_file():
        message = f"the server that it starts reads {path}, not this file"
        yield Finding("WARN", subject, message, f"check that file: agent-mcp doctor --config {path}")
        return
    message = "the server that it starts does not read this file, and has none of its servers"
    fix = f'to have them, write "args": ["--config", "{file}"] in the entry'
    yield Finding("WARN", subject, message, fix)
