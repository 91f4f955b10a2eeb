"""The rules that all providers share, on a neutral list of turns: which requests they refuse, and why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.model_script import Conversation

_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


class InvalidRequest(Exception):
    """The request breaks a rule of the wire; the message says which."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of the conversation by one side."""

    role: Literal["user", "assistant", "results"]
    text: str = ""
    ids: tuple[str, ...] = ()
    """Of the calls made, or answered."""


def require(condition: object, reason: str) -> None:
    """Raise unless the condition holds.

    Raises:
        InvalidRequest: it does not.
    """
    if not condition:
        raise InvalidRequest(reason)


def check_tool(name: str, schema: dict[str, Any]) -> None:
    """A tool's name and schema as all three providers want them."""
    require(_NAME.match(name), f"tool name {name!r} does not match {_NAME.pattern}")
    require(schema.get("type") == "object", f"schema of {name}: type must be object")
    for key in ("oneOf", "anyOf", "allOf"):
        require(key not in schema, f"schema of {name}: {key} is not allowed at the top level")


def check_turns(turns: Sequence[Turn]) -> None:
    """Every call has exactly one result, directly after the reply that made it."""
    require(turns and turns[0].role == "user", "the first message must be the user's")
    seen: set[str] = set()
    for index, turn in enumerate(turns):
        following = turns[index + 1] if index + 1 < len(turns) else None
        if turn.role == "assistant":
            _check_calls(turn, following, seen)
        if turn.role == "results":
            before = turns[index - 1]
            require(before.role == "assistant", "tool results without calls directly before them")
            require(set(turn.ids) <= set(before.ids), f"results {turn.ids} for calls {before.ids}")


def _check_calls(turn: Turn, following: Turn | None, seen: set[str]) -> None:
    require(len(set(turn.ids)) == len(turn.ids) and not seen & set(turn.ids), f"call ids repeat: {turn.ids}")
    seen.update(turn.ids)
    if not turn.ids:
        return
    answered = following.ids if following is not None and following.role == "results" else ()
    require(
        sorted(answered) == sorted(turn.ids),
        f"calls {turn.ids} must have results right after, got {answered}",
    )


def conversation_of(turns: Sequence[Turn]) -> Conversation:
    """What the script chooses by."""
    last_user = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)
    replies = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
    return Conversation(
        last_user_text=turns[last_user].text if last_user >= 0 else "",
        replies=len(replies),
        replies_since_user=sum(1 for i in replies if i > last_user),
    )


def add_turn(turns: list[Turn], turn: Turn) -> None:
    """Append, joining a turn to the one before it when both are of one side and one reply or batch."""
    if turns and turn.role != "user" and turns[-1].role == turn.role:
        last = turns.pop()
        turn = Turn(turn.role, last.text + turn.text, last.ids + turn.ids)
    turns.append(turn)


def pieces(text: str, size: int) -> list[str]:
    """The text cut to pieces of `size` characters; whole for 0."""
    if size <= 0 or not text:
        return [text]
    return [text[i : i + size] for i in range(0, len(text), size)]


def text_of(content: str | list[dict[str, Any]] | None) -> str:
    """The text of a message's content, in any wire's form."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content or [])
