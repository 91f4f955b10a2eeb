"""Events and profiles to JSON text and back. Knows no database.

The kind of an event is a column of its own and not repeated in its JSON. Encoding never loses a value that can be
sent anywhere: NaN and infinities stay (as `json` and pydantic both write them), while lone surrogates, which no UTF-8
channel can carry, become U+FFFD. Decoding is forgiving in one direction only: unknown kinds and fields are from a
newer version and are kept apart or ignored, missing fields take their defaults, a wrong shape is an error.
"""

import dataclasses
import functools
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, cast, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from agent_mcp.errors import StoreError
from agent_mcp.sessions.events import EventData, UnknownEvent
from agent_mcp.sessions.profile import Profile

_T = TypeVar("_T")

_KIND = {"kind"}
_SURROGATES = re.compile("[\ud800-\udfff]")


class Encoded(NamedTuple):
    """An event ready to be stored."""

    kind: str
    text: str
    """JSON, valid UTF-8."""
    data: EventData | UnknownEvent
    """What decoding `text` gives, once its blobs are put back."""
    blobs: tuple[tuple[str, str], ...] = ()
    """Hash and content of what is stored beside it (see `blobs`)."""


def clean(text: str) -> str:
    """`text` with lone surrogates replaced, so that it can be encoded as UTF-8."""
    if text.isascii():
        return text
    return _SURROGATES.sub("\ufffd", text)


def encode(data: EventData) -> Encoded:
    """An event as it is stored.

    Raises:
        StoreError: it holds something that JSON can't (a bug of the caller).
    """
    try:
        raw = to_json(data, exclude=_KIND, inf_nan_mode="constants")
    except PydanticSerializationError:
        return _encode_oddity(data)
    return Encoded(data.kind, raw.decode(), data)


def _encode_oddity(data: EventData) -> Encoded:
    """By the standard library: lone surrogates, and nesting deeper than pydantic goes (255 levels)."""
    fields = {name: value for name, value in _to_dict(data).items() if name != "kind"}
    text = clean(_dump(fields))
    return Encoded(data.kind, text, decode(data.kind, text))


def decode(kind: str, text: str) -> EventData | UnknownEvent:
    """The event of a stored row; `UnknownEvent` for a kind that this version does not know.

    Raises:
        StoreError: it has not the shape of its kind.
    """
    adapter = _event_adapter(kind)
    if adapter is None:
        return UnknownEvent(kind, json.loads(text))
    return _load(adapter, text, kind)


def encode_profile(profile: Profile) -> str:
    """A profile as it is stored."""
    return clean(_dump(profile))


def decode_profile(text: str) -> Profile:
    """The profile of a stored row.

    Raises:
        StoreError: it has not the shape of a profile.
    """
    return _load(_profile_adapter(), text, "profile")


def _dump(value: Any) -> str:
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"cannot be stored as JSON: {error}") from error


def _load(adapter: TypeAdapter[_T], text: str, what: str) -> _T:
    try:
        return adapter.validate_json(text)
    except ValidationError:
        return _load_deep(adapter, text, what)


def _load_deep(adapter: TypeAdapter[_T], text: str, what: str) -> _T:
    """Again by the standard library, whose parser goes deeper than pydantic's 200 levels."""
    try:
        return adapter.validate_python(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"a stored {what} cannot be read: {error}", hint="update agent-mcp") from error


def _to_dict(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is no JSON value")
    return {name: getattr(value, name) for name in _field_names(type(value))}


@functools.cache
def _field_names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


# Adapters are built on first use: together they take 25 ms, which no start should wait for.
@functools.cache
def _event_adapter(kind: str) -> TypeAdapter[EventData] | None:
    cls = _KINDS.get(kind)
    return None if cls is None else TypeAdapter(cls)


@functools.cache
def _profile_adapter() -> TypeAdapter[Profile]:
    return TypeAdapter(Profile)


def _kind_of(cls: type[Any]) -> str:
    return next(str(field.default) for field in dataclasses.fields(cls) if field.name == "kind")


_KINDS: dict[str, type[EventData]] = {_kind_of(cls): cls for cls in get_args(EventData)}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_to_dict, check_circular=False)
