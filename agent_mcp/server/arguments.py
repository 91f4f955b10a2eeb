"""The arguments of the eight tools: what is accepted, and what is said of what is not.

Hosts and their models send null for "not given" and numbers as strings; both are taken. Anything else that does
not fit is refused by name, before the SDK sees it: its own refusals carry no structured content.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from agent_mcp.errors import InvalidArgumentError
from agent_mcp.server.hosts import MAX_WAIT_SECONDS
from agent_mcp.sessions.profile import CAP_NAMES, Budget, Caps
from agent_mcp.sessions.transcript import cut


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _from_json(value: object) -> object:
    """Some hosts send lists and objects as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


NUMBER = BeforeValidator(_no_boolean)
AtLeast0 = Annotated[int, Field(ge=0), NUMBER]
AtLeast1 = Annotated[int, Field(ge=1), NUMBER]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]
Seconds = Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False), NUMBER]
Names = Annotated[list[str], BeforeValidator(_from_json)]
SessionId = Annotated[str, Field(description="id of the session")]
Wait = Annotated[
    Seconds | None,
    Field(
        description="Seconds to wait for the turn; it goes on when they are over. Default: fits your host."
    ),
]


SHORT = WithJsonSchema({"type": "object"})
"""For what is told by a description alone: each character is paid for in every request."""


class Arguments(BaseModel):
    """What all tools share."""

    # Built when first used: a host must have its handshake before its tool list.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class CapsArgument(Arguments):
    """Limits over one stretch."""

    tokens: AtLeast1 | None = None
    cost_usd: Positive | None = None
    seconds: Positive | None = None
    tool_calls: AtLeast0 | None = None
    input_tokens: AtLeast1 | None = None
    output_tokens: AtLeast1 | None = None
    steps: AtLeast1 | None = None

    @property
    def caps(self) -> Caps:
        """As limits."""
        return Caps(**{name: getattr(self, name) for name in CAP_NAMES})


class BudgetArgument(CapsArgument):
    """Limits over the whole session and other stretches."""

    turn: Annotated[CapsArgument | None, SHORT] = None
    day: Annotated[CapsArgument | None, SHORT] = None

    @property
    def budget(self) -> Budget:
        """As a budget."""
        turn, day = self.turn or CapsArgument(), self.day or CapsArgument()
        return Budget(**self.caps.limits, turn=turn.caps, day=day.caps)


class StartSession(Arguments):
    """start_session."""

    agent: Annotated[str | None, Field(description="Name of a configured agent")] = None
    message: Annotated[str | None, Field(description="First message; its turn starts at once")] = None
    session_id: Annotated[
        str | None, Field(description="Own id, [A-Za-z0-9_-]{1,64}; makes a retry safe")
    ] = None
    model: Annotated[str | None, Field(description="Name of a configured model")] = None
    instructions: Annotated[str | None, Field(description="Added after the agent's own")] = None
    servers: Annotated[Names | None, Field(description="Only these of the agent's servers")] = None
    tools: Annotated[Names | None, Field(description="Only tools that match, e.g. docs__get_*")] = None
    max_steps: Annotated[AtLeast1 | None, Field(description="Model replies per turn")] = None
    budget: Annotated[
        Annotated[BudgetArgument, BeforeValidator(_from_json)] | None,
        Field(description="Limits over the session; the same keys in `turn` and `day`"),
    ] = None
    wait_seconds: Wait = None


class SendMessage(Arguments):
    """send_message."""

    session_id: SessionId
    message: Annotated[str | None, Field(description="Leave out to keep waiting for the running turn")] = None
    wait_seconds: Wait = None


class Summary(Arguments):
    """summary."""

    session_id: SessionId
    detail: Annotated[
        Literal["counts", "steps", "full"], Field(description="full: whole arguments, results")
    ] = "counts"
    offset: Annotated[AtLeast0, Field(description="Where the transcript's page begins: next_offset")] = 0
    limit: Annotated[int, Field(ge=1, le=1000, description="Entries in a page"), NUMBER] = 100


class ListSessions(Arguments):
    """list_sessions."""

    status: Literal["idle", "running", "needs_approval", "closed"] | None = None
    query: Annotated[str | None, Field(description="Sought in id, agent and title")] = None
    limit: Annotated[int, Field(ge=1, le=100), NUMBER] = 20
    cursor: Annotated[str | None, Field(description="next_cursor of the page before")] = None


class Approve(Arguments):
    """approve."""

    session_id: SessionId
    call_id: Annotated[str, Field(description="call_id of a waiting approval")]
    decision: Literal["allow", "deny"]
    scope: Annotated[
        Literal["once", "arguments", "session"],
        Field(description="allow also, for the session, this tool with these arguments, or this tool"),
    ] = "once"
    reason: Annotated[str | None, Field(description="Told to the model with a denial")] = None
    wait_seconds: Wait = None


class OneSession(Arguments):
    """cancel, close_session."""

    session_id: SessionId


class ForkSession(Arguments):
    """fork_session."""

    session_id: SessionId
    at_step: Annotated[AtLeast0 | None, Field(description="Last step to copy")] = None


A = TypeVar("A", bound=Arguments)


def parse(model: type[A], given: Mapping[str, Any] | None) -> A:
    """The arguments as given, checked.

    Raises:
        InvalidArgumentError: names the first argument that is missing, unknown or wrong, and the way out.
    """
    try:
        return model.model_validate(_without_nulls(given or {}))
    except ValidationError as error:
        details = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
        raise InvalidArgumentError(_explain(model, details[0])) from None


def cleaned(value: Any) -> Any:
    """JSON data with lone surrogates replaced: JSON's escapes can say them, and no answer could quote them."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        case list():
            return [cleaned(item) for item in cast("list[Any]", value)]
        case dict():
            return {cleaned(key): cleaned(item) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _without_nulls(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(cast("Mapping[str, Any]", value)) if isinstance(value, dict) else value
        for key, value in given.items()
        if value is not None
    }


_PLAIN: dict[str, str] = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a finite number",
    "string": "must be a string",
    "list": "must be a list of strings",
    "model": "must be an object",
    "dict": "must be an object",
    "value": "must be a number",
}
"""What is wrong, by the first word of pydantic's error type."""


def _explain(model: type[Arguments], error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"] if isinstance(part, int) or part.islower())
    match error["type"]:
        case "missing":
            return f"{path}: is required."
        case "extra_forbidden":
            return _unknown(model, error["loc"])
        case "literal_error":
            return f"{path}: must be {error.get('ctx', {})['expected']}, not {_shown(error['input'])}."
        case "greater_than_equal" | "greater_than" | "less_than_equal":
            return f"{path}: {error['msg'].removeprefix('Input ').lower()}, not {_shown(error['input'])}."
        case kind:
            wrong = _PLAIN.get(kind.split("_", maxsplit=1)[0], error["msg"])
            return f"{path}: {wrong}, not {_shown(error['input'])}."


def _unknown(model: type[Arguments], loc: tuple[int | str, ...]) -> str:
    inner = (model, BudgetArgument, CapsArgument)
    known = list(inner[min(len(loc), len(inner)) - 1].model_fields)
    name = str(loc[-1]) if loc else ""
    near = get_close_matches(name, known, 1, 0.5)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"{cut('.'.join(map(str, loc)), 100)}: unknown argument.{guess} Known: {', '.join(known)}."


def _shown(value: object) -> str:
    return cut(repr(value), 80)


class Schemas:
    """The input schemas, as small as they can be said: every host pays for them in each request."""

    _dropped: ClassVar[frozenset[str]] = frozenset({"title", "additionalProperties"})

    @classmethod
    def of(cls, model: type[Arguments]) -> dict[str, Any]:
        """The model's JSON Schema without titles, nulls and references."""
        schema = model.model_json_schema()
        compact = cls._compact(schema, schema.get("$defs", {}))
        compact.pop("description", None)
        return compact

    @classmethod
    def _compact(cls, node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.items():
            if key in cls._dropped or key == "$defs" or (key == "default" and value is None):
                continue
            if key == "anyOf":
                result |= cls._compact(next(one for one in value if one.get("type") != "null"), definitions)
            elif key == "$ref":
                target = definitions[value.rpartition("/")[2]]
                result |= cls._compact({k: v for k, v in target.items() if k != "description"}, definitions)
            elif key == "properties":
                result[key] = {name: cls._compact(one, definitions) for name, one in value.items()}
            elif isinstance(value, dict):
                result[key] = cls._compact(cast("dict[str, Any]", value), definitions)
            else:
                result[key] = value
        return result
