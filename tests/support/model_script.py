"""What the fake model server answers: a script of answers and faults. Knows no HTTP and no wire format.

As a JSON file (`--script FILE`) the same shapes are objects with the same keys:

    {"answers": [{"calls": [{"name": "time__now", "arguments": {}}]}, {"text": "It is noon."}],
     "rules": [{"match": "weather", "answers": [{"text": "Sunny.", "fault": {"kind": "status", "status": 529}}]}]}

Which answer comes: the first rule whose pattern is found in the last user text counts replies since that text;
without such a rule `answers` counts all replies of the conversation. So nothing depends on what the server saw
before, except a fault's `times`. Past the end every answer is "Done.".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

FaultKind = Literal["status", "disconnect", "no_stop", "bad_json", "error_event", "hang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong instead of, or in the middle of, an answer."""

    kind: FaultKind
    status: int = 500
    """For `status`: the HTTP status."""
    type: str = "overloaded_error"
    """The provider's error type (anthropic) or code (openai)."""
    message: str = "scripted fault"
    retry_after: str | None = None
    """For `status`: the header as it is sent."""
    times: int | None = None
    """How many requests it spoils before the answer gets through; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call of an answer."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    raw_arguments: str | None = None
    """Sent instead of `arguments`, to break them."""
    id: str | None = None
    """The provider's id; None: made up, unique."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One reply of the model."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    """Goes out signed, bound to everything before it: a request that changes any of that is refused."""
    blocks: tuple[Mapping[str, Any], ...] = ()
    """Further content blocks (anthropic) or output items (responses), sent first, as they are."""
    stop: str | None = None
    """The wire's own stop reason; None: by whether there are calls."""
    input_tokens: int = 10
    """What is neither read from nor written to the cache."""
    output_tokens: int = 5
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    delay_seconds: float = 0.0
    piece_chars: int = 0
    """Text and arguments are streamed in pieces of this size; 0: whole."""
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Answers for conversations whose last user text matches."""

    match: str
    """A regular expression, searched."""
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What of a request decides the answer."""

    last_user_text: str
    replies: int
    """All replies so far."""
    replies_since_user: int


@dataclass(frozen=True, slots=True)
class Script:
    """All answers of a server."""

    answers: tuple[Answer, ...] = ()
    rules: tuple[Rule, ...] = ()

    def choose(self, conversation: Conversation) -> Answer:
        """The answer to this conversation."""
        for rule in self.rules:
            if re.search(rule.match, conversation.last_user_text):
                return _nth(rule.answers, conversation.replies_since_user)
        return _nth(self.answers, conversation.replies)


def script_of(*answers: Answer) -> Script:
    """A script of these answers, one after the other."""
    return Script(answers=answers)


def load_script(path: Path) -> Script:
    """Read a script from a JSON file."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    rules = tuple(Rule(rule["match"], _answers(rule["answers"])) for rule in raw.get("rules", []))
    return Script(answers=_answers(raw.get("answers", [])), rules=rules)


def _answers(raw: list[dict[str, Any]]) -> tuple[Answer, ...]:
    return tuple(_answer(item) for item in raw)


def _answer(raw: dict[str, Any]) -> Answer:
    fault = raw.get("fault")
    fields: dict[str, Any] = {
        **raw,
        "calls": tuple(Call(**call) for call in raw.get("calls", [])),
        "blocks": tuple(raw.get("blocks", [])),
        "fault": Fault(**fault) if fault else None,
    }
    return Answer(**fields)


def _nth(answers: tuple[Answer, ...], index: int) -> Answer:
    return answers[index] if index < len(answers) else Answer(text="Done.")
