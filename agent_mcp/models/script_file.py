"""Reads a written script of replies, `scripted:FILE`. The format, all keys optional but `replies`:

    {"replies": [
      {"text": "I look at the clock.",
       "calls": [{"tool": "time__get_current_time", "arguments": {"timezone": "UTC"}}]},
      {"text": "It is noon.", "stop": "end_turn", "usage": {"input_tokens": 120, "output_tokens": 8},
       "delay_seconds": 0.5},
      {"error": {"status": 429, "message": "slow down", "retry_after": 1, "times": 2}, "text": "There."}
    ]}

`stop` is one of ours (`end_turn`, `tool_use`, `max_tokens`, `refusal`); without it the calls decide. `error` fails the
reply as a provider with that HTTP status would, `times` times in a row (default: always), and then gives it.
`arguments` may be a string, sent as it is, to see what becomes of broken ones.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_mcp.agent.messages import ReplyStop
from agent_mcp.errors import ModelError


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScriptCall(_Entry):
    """A tool call."""

    tool: str
    """`server__tool`, as the model is shown it."""
    arguments: dict[str, Any] | str = {}


class ScriptUsage(_Entry):
    """Tokens that the reply claims to have used."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class ScriptError(_Entry):
    """A failure in place of the reply."""

    status: int
    message: str = "scripted error"
    retry_after: Annotated[float, Field(ge=0)] | None = None
    """Seconds."""
    times: Annotated[int, Field(ge=1)] | None = None
    """None: always."""


class ScriptReply(_Entry):
    """One reply."""

    text: str = ""
    calls: tuple[ScriptCall, ...] = ()
    stop: ReplyStop | None = None
    usage: ScriptUsage = ScriptUsage()
    delay_seconds: Annotated[float, Field(ge=0)] = 0.0
    error: ScriptError | None = None


class Script(_Entry):
    """The whole file."""

    replies: tuple[ScriptReply, ...]


def load_script(path: Path) -> Script:
    """Read a script.

    Raises:
        ModelError: the file can't be read, or is no script; names the file and the place in it.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"script {path}: {error.strerror or error}", hint="scripted:FILE names a file"
        ) from error
    try:
        return Script.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(key) for key in first["loc"]) or "the file"
        raise ModelError(f"script {path}: {place}: {first['msg']}") from error
