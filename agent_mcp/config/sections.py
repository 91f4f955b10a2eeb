"""The top-level keys of a config, each taken out and checked for itself. Knows no key's meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from agent_mcp.config.check import check, kind
from agent_mcp.config.findings import Complaint, Findings

Entry = TypeVar("Entry", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Sections:
    """A document, read key by key; what is wrong goes to `findings`, and the answer is then the empty one."""

    data: Mapping[str, Any]
    findings: Findings

    def objects(self, key: str) -> Mapping[str, object]:
        """An object of anything."""
        value = self.data.get(key, {})
        if not isinstance(value, dict):
            self.findings.refuse(Complaint(key, f"must be an object, not {kind(value)}"))
            return {}
        return cast("dict[str, object]", value)

    def names(self, key: str) -> Sequence[str]:
        """The names in an object of entries, those with errors too; refuses nothing."""
        value = self.data.get(key, {})
        return tuple(cast("dict[str, object]", value)) if isinstance(value, dict) else ()

    def has_object(self, *keys: str) -> bool:
        """Whether each of them is an object, or not there."""
        return all(isinstance(self.data.get(key, {}), dict) for key in keys)

    def entries(self, key: str, model: type[Entry]) -> dict[str, Entry]:
        """An object of entries of one kind, by name; those that are wrong are not among them."""
        entries: dict[str, Entry] = {}
        for name, value in self.objects(key).items():
            if not name.strip():
                self.findings.refuse(Complaint(key, "an entry has an empty name", "give it a name"))
                continue
            entry = self._checked(model, value, f"{key}.{name}")
            if entry is not None:
                entries[name] = entry
        return entries

    def entry(self, key: str, model: type[Entry]) -> Entry:
        """A single entry."""
        return self._checked(model, self.data.get(key, {}), key) or model()

    def text(self, key: str) -> str | None:
        """A string, if it is there."""
        value = self.data.get(key)
        if key not in self.data or (isinstance(value, str) and value.strip()):
            return value
        problem = "is empty" if isinstance(value, str) else f"must be a string, not {kind(value)}"
        self.findings.refuse(Complaint(key, problem, "leave the key out for the default"))
        return None

    def texts(self, key: str) -> Sequence[str]:
        """A list of strings, or a single one."""
        value = self.data.get(key, [])
        items: list[object] = cast("list[object]", value) if isinstance(value, list) else [value]
        for item in items:
            if not isinstance(item, str) or not item.strip():
                self.findings.refuse(Complaint(key, "must be a list of paths", 'write ["~/.claude/agents"]'))
                return ()
        return cast("list[str]", items)

    def _checked(self, model: type[Entry], value: object, key: str) -> Entry | None:
        entry, complaints = check(model, value, key=key)
        for complaint in complaints:
            self.findings.refuse(complaint)
        return entry
