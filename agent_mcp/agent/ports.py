"""What the loop needs from the world. Adapters satisfy these by shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import Message, Reply, StopReason, ToolCall, ToolResult
from agent_mcp.agent.tools import Tool


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Everything a model needs for one reply."""

    system: str
    tools: Sequence[Tool]
    """The same sequence object for every request of a turn, so that an adapter may keep its rendering."""
    history: Sequence[Message]
    """Never empty, and it only grows within a session. Ends in a user message or tool results, or, after a
    `pause_turn`, in that reply."""
    tool_choice: Literal["auto", "none"] = "auto"
    """`none`: the tools are shown as before, and none may be called."""
    session_id: str = ""
    """A stable key for the provider's prompt cache."""
    max_output_tokens: int | None = None
    """At most so many, where that is less than the model's own limit; None: the model's own."""


class Model(Protocol):
    """A model that answers one request at a time; safe to share between sessions."""

    @property
    def wire(self) -> str:
        """Which wire format it speaks; `Reply.wire` of its replies."""
        ...

    @property
    def name(self) -> str:
        """The provider's name of the model."""
        ...

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """Answer once, whole; tell `emit` of text as it comes.

        Raises:
            TransientModelError: no answer now; another try may get one.
            ContextOverflowError: the history no longer fits.
            MissingApiKeyError: the provider's key is not set.
            ModelError: the provider refused the request.
        """
        ...


class Toolbox(Protocol):
    """The tools of one turn."""

    @property
    def tools(self) -> Sequence[Tool]:
        """What the model is shown; fixed for the turn."""
        ...

    async def call(self, call: ToolCall) -> ToolResult:
        """Run one call to its end. A failure is a result, never an exception."""
        ...


class Limits(Protocol):
    """When a turn must come to its end."""

    async def closing(self, steps: int) -> StopReason | None:
        """Why the next reply must be the closing one, after `steps` replies of this turn; None to go on.

        Raises:
            BudgetExceededError: not even the turn's first reply may be asked for.
        """
        ...

    async def overrun(self) -> StopReason | None:
        """Why not even a closing reply may be asked for; None while one may."""
        ...


class Journal(Protocol):
    """The turn's memory: what has happened so far, and the place where each new thing is recorded first."""

    @property
    def steps(self) -> int:
        """How many replies this turn has had."""
        ...

    @property
    def last_reply(self) -> Reply | None:
        """The last reply of this turn."""
        ...

    @property
    def closed_by(self) -> StopReason | None:
        """Why the last reply was the closing one; None if it was not."""
        ...

    def open_calls(self) -> Sequence[ToolCall]:
        """Calls of the last reply that have no result yet, in the order asked."""
        ...

    async def read(self) -> Sequence[Message]:
        """The history for the next request, with the user messages that have come in since the last one."""
        ...

    async def replied(self, reply: Reply, *, closing: StopReason | None) -> None:
        """Record a reply; `closing` says why it was the last one allowed, if it was."""
        ...

    async def finished(self, result: ToolResult) -> None:
        """Record the result of one call."""
        ...

    async def end(self, stop_reason: StopReason) -> bool:
        """Record the end of the turn.

        An `end_turn` is refused, and nothing recorded, while there is a user message that the model has not read:
        then the loop goes on. Any other reason ends the turn at once.
        """
        ...
