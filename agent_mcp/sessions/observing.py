"""The port by which somebody looks on as turns run: for traces and figures. It changes nothing that a turn does."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from agent_mcp.agent.ports import Model, Toolbox
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.ports import Claim, SessionRecord


class TurnObserver(Protocol):
    """Looks on from a turn's claim until its runner leaves it, ended or not."""

    def turn(self, record: SessionRecord, state: SessionState, claim: Claim) -> AbstractContextManager[None]:
        """Around the whole run; `state` is the one that the runner keeps up to date. What else is asked for comes
        from inside, in the same task or its children."""
        ...

    def model(self, model: Model) -> Model:
        """The model, seen at each reply."""
        ...

    def tools(self, tools: Toolbox) -> Toolbox:
        """The tools, seen at each call that is really sent."""
        ...

    def call_meta(self) -> Mapping[str, str]:
        """What a call that is being sent now carries in its `_meta` for whoever looks on at the other end."""
        ...


class Unobserved:
    """Nobody looks on."""

    def turn(self, record: SessionRecord, state: SessionState, claim: Claim) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def model(self, model: Model) -> Model:
        """The very same."""
        return model

    def tools(self, tools: Toolbox) -> Toolbox:
        """The very same."""
        return tools

    def call_meta(self) -> Mapping[str, str]:
        """Nothing."""
        return {}
