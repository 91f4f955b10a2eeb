"""JSON data against the schema, with complaints in plain words.

Pydantic does the checking; its own messages speak to programmers, quote values (which may be secrets) and carry
links, so none of them gets out of here.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent_mcp.config.findings import Complaint
from agent_mcp.config.schema import APPROVALS_SHAPES
from agent_mcp.config.spelling import did_you_mean

Entry = TypeVar("Entry", bound=BaseModel)

_PLAIN = {
    "missing": "is missing",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
_TOLD_BY_THE_TYPE = {"missing", "int_from_float", "finite_number"}


def check(
    model: type[Entry], data: object, *, key: str = "", strict: bool = True
) -> tuple[Entry | None, Sequence[Complaint]]:
    """The entry that `data` describes, or None and what is wrong with it. Not strict: `"30"` is a number too."""
    try:
        entry = model.model_validate_json(json.dumps(data), strict=strict)
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, [_complaint(model, detail).under(key) for detail in details]
    return entry, ()


def unknown_keys(
    model: type[BaseModel], data: dict[str, Any], *, key: str, besides: Iterable[str] = ()
) -> Iterator[Complaint]:
    """A complaint for every key that the model does not have, or has only for us (`besides`)."""
    known = {*model.model_fields}.difference(besides)
    for name in data:
        if name not in known:
            yield Complaint(f"{key}.{name}", "is not a key that we know", did_you_mean(name, known))


def kind(value: object) -> str:
    """What kind of JSON value it is, in words and without the value."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def _complaint(model: type[BaseModel], detail: ErrorDetails) -> Complaint:
    key, error_type = _dotted(detail), detail["type"]
    if error_type == "extra_forbidden":
        known = _model_at(model, detail["loc"][:-1]).model_fields
        return Complaint(key, "is not a key that we know", did_you_mean(str(detail["loc"][-1]), known))
    if detail["loc"][-2:-1] == ("approvals",) and detail["loc"][-1] in APPROVALS_SHAPES:
        other = "another string" if isinstance(detail["input"], str) else kind(detail["input"])
        return Complaint(key, f'must be an object or "off", not {other}')
    problem = _PLAIN.get(error_type) or _by_limit(detail)
    if error_type in _TOLD_BY_THE_TYPE or error_type not in _PLAIN:
        return Complaint(key, problem)
    return Complaint(key, f"{problem}, not {kind(detail['input'])}")


def _by_limit(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "greater_than":
            return f"must be more than {context['gt']:g}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "literal_error":
            return f"must be one of {context['expected']}"
        case _:
            return "has a value that is not allowed here"


def _dotted(detail: ErrorDetails) -> str:
    return ".".join(str(part) for part in detail["loc"] if part not in APPROVALS_SHAPES)


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel]:
    for part in loc:
        if field := model.model_fields.get(str(part)):
            model = _model_in(field.annotation) or model
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in cast("tuple[object, ...]", get_args(annotation)))
    return next((model for model in found if model), None)
