"""What a caller may ask for when a session starts: it can narrow what the agent has, never widen it."""

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Protocol

from agent_mcp.errors import InvalidArgumentError
from agent_mcp.sessions.profile import Budget, Profile

MESSAGE_CHARACTERS = 1_000_000
"""The longest message, in characters."""


def new_session_id() -> str:
    """An id for a session: 64 random bits, short enough to read in a prompt."""
    return f"s-{secrets.token_hex(8)}"


def check_session_id(session_id: str) -> None:
    """Raises:
    InvalidArgumentError: it is not `[A-Za-z0-9_-]{1,64}`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", session_id):
        shown = session_id if len(session_id) <= 80 else f"{session_id[:80]}…"
        raise InvalidArgumentError(
            f"session_id: {shown!r} is not an id. It is 1 to 64 characters out of A-Z, a-z, 0-9, _ and -."
        )


def check_message(message: str | None) -> None:
    """Raises:
    InvalidArgumentError: it is blank, or longer than a message may be.
    """
    if message is None:
        return
    if not message.strip():
        raise InvalidArgumentError(
            "message: is empty.", hint="Leave `message` out to wait for the running turn."
        )
    if len(message) > MESSAGE_CHARACTERS:
        raise InvalidArgumentError(
            f"message: has {len(message)} characters; at most {MESSAGE_CHARACTERS} are taken.",
            hint="Send it in parts, or put it where a tool can read it.",
        )


@dataclass(frozen=True, slots=True)
class StartRequest:
    """The arguments of start_session that shape the session; None: not given."""

    agent: str | None = None
    message: str | None = None
    model: str | None = None
    instructions: str | None = None
    servers: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    max_steps: int | None = None
    budget: Budget | None = None

    @property
    def fingerprint(self) -> str:
        """The same for equal requests: tells a start that is sent again from a different one."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Agents(Protocol):
    """The agents of the config."""

    def profile(self, agent: str | None) -> Profile:
        """The profile of a named agent, or what runs without a name.

        Raises:
            AgentNotFoundError: no agent has this name.
        """
        ...

    @property
    def models(self) -> Sequence[str]:
        """Model references that any caller may choose: the names under `models` and the default."""
        ...

    @property
    def any_model(self) -> bool:
        """Whether a caller may name any `provider:model`."""
        ...


def narrowed(profile: Profile, request: StartRequest, agents: Agents) -> Profile:
    """The profile as the request narrows it.

    Raises:
        InvalidArgumentError: the request names what the agent does not have, or asks for more than it may.
    """
    return replace(
        profile,
        model=_model(profile, request.model, agents),
        instructions="\n\n".join(part for part in (profile.instructions, request.instructions) if part),
        servers=_servers(profile, request.servers),
        tools=profile.tools if request.tools is None else (*profile.tools, request.tools),
        max_steps=_max_steps(profile, request.max_steps),
        budget=profile.budget if request.budget is None else profile.budget.tightened(request.budget),
    )


def _model(profile: Profile, asked: str | None, agents: Agents) -> str:
    if asked is None or asked == profile.model:
        return profile.model
    # A script is a file on the server's disk: no caller may name one.
    if asked in agents.models or (agents.any_model and not asked.startswith("scripted:")):
        return asked
    known = ", ".join(sorted({*agents.models, profile.model} - {""})) or "none is configured"
    raise InvalidArgumentError(
        f"model: {asked!r} may not be chosen here. Allowed: {known}.",
        hint="Name a model under `models` in the config, or set defaults.allow_any_model to true there.",
    )


def _servers(profile: Profile, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    if asked is None:
        return profile.servers
    for name in asked:
        if name not in profile.servers:
            near = get_close_matches(name, profile.servers, 1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            has = ", ".join(profile.servers) or "none"
            raise InvalidArgumentError(f"servers: the agent has no server {name!r}.{guess} It has: {has}.")
    return tuple(name for name in profile.servers if name in asked)


def _max_steps(profile: Profile, asked: int | None) -> int:
    if asked is None:
        return profile.max_steps
    if asked < 1:
        raise InvalidArgumentError(f"max_steps: must be 1 or more, not {asked}.")
    return min(asked, profile.max_steps)
