"""The configuration from file and environment, expanded and checked.

What is wrong with one server or one agent file is a `Problem` and costs only that one; anything else that is wrong
is a `ConfigError` that names the file, the key, the problem and the way out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agent_mcp.config.agents import read_agent_files
from agent_mcp.config.document import check_top_level, is_host_file, read_document
from agent_mcp.config.expand import referred, with_whole_names
from agent_mcp.config.findings import Complaint, Findings
from agent_mcp.config.names import FILE, Names, with_names
from agent_mcp.config.paths import find_config, resolve, resolve_model, resolve_store
from agent_mcp.config.references import Known, check_agent, check_model
from agent_mcp.config.schema import AgentEntry, Config, Defaults, ModelEntry, RetentionEntry, ServerSettings
from agent_mcp.config.sections import Sections
from agent_mcp.config.servers import Origin, read_servers
from agent_mcp.config.serving import check_serving, hashed, missing_variables
from agent_mcp.errors import ConfigError

Agent = TypeVar("Agent", bound=AgentEntry)


def load_config(path: str | None, environ: Mapping[str, str]) -> Config:
    """The config of `path` (the value of `--config`), else of the places in CONTRACT §2; without any an empty one.

    Raises:
        ConfigError: a named file is missing, or what it says is wrong.
    """
    file = find_config(path, environ)
    config = _Reader(file, with_names(environ, base=file.parent)).read() if file else Config()
    return _with_environment(config, environ)


def _with_environment(config: Config, environ: Mapping[str, str]) -> Config:
    """AGENT_MCP_STORE stands above `store`, AGENT_MCP_MODEL above `defaults.model` but below an agent's own."""
    update: dict[str, Any] = {}
    if store := environ.get("AGENT_MCP_STORE"):
        update["store"] = resolve_store(store, base=Path.cwd(), environ=environ)
    if model := environ.get("AGENT_MCP_MODEL"):
        for complaint in check_model(model, Known((), tuple(config.models))):
            raise ConfigError("environment: AGENT_MCP_MODEL", complaint.problem, hint=complaint.hint)
        reference = resolve_model(model, base=Path.cwd(), environ=environ)
        update["defaults"] = config.defaults.model_copy(update={"model": reference})
    return config.model_copy(update=update)


@dataclass(frozen=True, slots=True)
class _Reader:
    """One config file on its way to a `Config`."""

    file: Path
    environ: Names

    def read(self) -> Config:
        data = read_document(self.file)
        findings = Findings(str(self.file))
        check_top_level(data, findings)
        origin = Origin(file=self.file, is_host_file=is_host_file(data), environ=self.environ)
        sections = Sections(data, findings)
        servers = read_servers(sections.objects("mcpServers"), origin, findings)
        models = sections.entries("models", ModelEntry)
        # Models with errors count: who refers to one has made no mistake.
        known = Known(servers=servers.names, models=sections.names("models"))
        agents = sections.entries("agents", AgentEntry)
        _refuse_second_keys(models, findings)
        defaults = sections.entry("defaults", Defaults)
        if sections.has_object("mcpServers", "models"):
            _refuse_unknown_references(agents, defaults, known, findings)
        settings, store = self._settings(sections, findings), sections.text("store")
        directories = [self._path(written) for written in sections.texts("agents_dir")]
        retention = sections.entry("retention", RetentionEntry)
        findings.raise_errors()
        agents = _merge(agents, read_agent_files(directories, known=known, findings=findings), findings)
        return Config(
            path=str(self.file),
            servers=servers.usable,
            unavailable=servers.unavailable,
            disabled=tuple(servers.disabled),
            left_out=servers.left_out,
            ignored_keys=tuple(servers.ignored),
            agents={name: self._with_whole_model(agent) for name, agent in agents.items()},
            defaults=self._with_whole_model(defaults),
            models={name: self._with_whole_use(entry) for name, entry in models.items()},
            store=store and resolve_store(store, base=self.file.parent, environ=self.environ),
            server=hashed(self._with_whole_files(settings), self.environ),
            retention=retention,
            secret_files=tuple(dict.fromkeys((*self.environ.files, *self._files_of(models)))),
            problems=tuple(findings.problems),
        )

    def _settings(self, sections: Sections, findings: Findings) -> ServerSettings:
        """What is only wrong for HTTP is no error here: other commands read the same file elsewhere."""
        settings = sections.entry("server", ServerSettings)
        for complaint in check_serving(settings):
            findings.refuse(complaint.under("server"))
        for complaint in missing_variables(self._with_whole_files(settings), self.environ):
            findings.warn(complaint.under("server"))
        return settings

    def _path(self, written: str) -> Path:
        return resolve(written, base=self.file.parent, environ=self.environ)

    def _with_whole_model(self, agent: Agent) -> Agent:
        if agent.model is None:
            return agent
        return agent.model_copy(update={"model": self._model(agent.model)})

    def _with_whole_use(self, entry: ModelEntry) -> ModelEntry:
        """Files are read when the model is first used, by then from anywhere."""
        headers = {name: with_whole_names(value, self.environ.whole) for name, value in entry.headers.items()}
        file = entry.api_key_file and str(self._path(entry.api_key_file))
        return entry.model_copy(
            update={"use": self._model(entry.use), "headers": headers, "api_key_file": file}
        )

    def _files_of(self, models: Mapping[str, ModelEntry]) -> Iterator[str]:
        for entry in map(self._with_whole_use, models.values()):
            names = [*referred(dict(entry.headers)), f"{FILE}{entry.api_key_file or ''}"]
            yield from (name.removeprefix(FILE) for name in names if name.startswith(FILE) and name != FILE)

    def _with_whole_files(self, settings: ServerSettings) -> ServerSettings:
        tokens = tuple(
            entry.model_copy(update={"token_file": entry.token_file and str(self._path(entry.token_file))})
            for entry in settings.tokens
        )
        return settings.model_copy(update={"tokens": tokens})

    def _model(self, reference: str) -> str:
        return resolve_model(reference, base=self.file.parent, environ=self.environ)


def _refuse_unknown_references(
    agents: Mapping[str, AgentEntry], defaults: AgentEntry, known: Known, findings: Findings
) -> None:
    by_key = {f"agents.{name}": agent for name, agent in agents.items()}
    for key, agent in {"defaults": defaults, **by_key}.items():
        for complaint in check_agent(agent, known):
            findings.refuse(complaint.under(key))


def _refuse_second_keys(models: Mapping[str, ModelEntry], findings: Findings) -> None:
    keys = ("api_key_env", "api_key_file", "api_key_keyring")
    for name, model in models.items():
        said = [key for key in keys if getattr(model, key) is not None]
        if len(said) > 1:
            findings.refuse(
                Complaint(f"models.{name}", f"names its key twice: {', '.join(said)}", "keep one")
            )


def _merge(
    inline: Mapping[str, AgentEntry], from_files: Mapping[str, AgentEntry], findings: Findings
) -> dict[str, AgentEntry]:
    for name in inline:
        if name in from_files:
            again = Complaint(
                f"agents.{name}", "an agent file has the same name; the file is not used", "rename one"
            )
            findings.warn(again)
    return {**from_files, **inline}
