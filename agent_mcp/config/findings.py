"""What was found wrong while a config was read: what stops us, and what does not. Knows no file format."""

from dataclasses import dataclass, field

from agent_mcp.config.schema import Problem
from agent_mcp.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong at a key; whether it is an error is the caller's business."""

    key: str
    """Dotted, `agents.researcher.model`; empty for the file as a whole."""
    problem: str
    hint: str = ""

    @property
    def described(self) -> str:
        """The problem and its way out."""
        return f"{self.problem} ({self.hint})" if self.hint else self.problem

    def under(self, prefix: str) -> "Complaint":
        """The same, seen from one level up."""
        return Complaint(".".join(part for part in (prefix, self.key) if part), self.problem, self.hint)


@dataclass(slots=True)
class Findings:
    """All findings of one file, in the order found."""

    file: str
    errors: list[Complaint] = field(default_factory=list[Complaint])
    problems: list[Problem] = field(default_factory=list[Problem])

    def refuse(self, complaint: Complaint) -> None:
        """The config can't be used like this."""
        self.errors.append(complaint)

    def warn(self, complaint: Complaint, *, server: str | None = None) -> None:
        """The rest of the config can be used; with `server`, that one cannot."""
        place = self.place(complaint.key)
        self.problems.append(
            Problem(place=place, message=complaint.problem, hint=complaint.hint, server=server)
        )

    def place(self, key: str) -> str:
        """File and key, as errors name them."""
        return f"{self.file}: {key}" if key else self.file

    def raise_errors(self) -> None:
        """One error for all that was refused, in the order found, each with its way out.

        Raises:
            ConfigError: something was refused.
        """
        if not self.errors:
            return
        first, *others = self.errors
        if not others:
            raise ConfigError(self.place(first.key), first.problem, hint=first.hint)
        also = "".join(f"; also {other.key}: {other.described}" for other in others)
        raise ConfigError(self.place(first.key), first.described + also)
