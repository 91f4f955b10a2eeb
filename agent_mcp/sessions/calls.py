"""One tool call as a session's log tells it. A part of the fold in `log`; knows no turns."""

from dataclasses import dataclass, field
from typing import Literal

from agent_mcp.agent.messages import ToolCall, ToolResult, Usage
from agent_mcp.sessions.events import ApprovalAsked, ApprovalGiven, ApprovalShown
from agent_mcp.sessions.inputs import InputState
from agent_mcp.sessions.sizes import RESULT_CHARACTERS
from agent_mcp.sessions.veil import Hide, veiled

CallStatus = Literal["pending", "running", "waiting", "ok", "error", "denied", "interrupted"]


@dataclass(slots=True)
class CallState:
    """One tool call and what has become of it."""

    call: ToolCall
    step: int
    server: str = ""
    """The server it goes to and that server's own name for the tool; empty for a tool that was not shown."""
    tool_name: str = ""
    started: bool = False
    rerun: bool = False
    asked: ApprovalAsked | None = None
    asked_again: bool = False
    """Asked for after it was last started: a crash broke it off, and a person must say whether to repeat it."""
    shown: ApprovalShown | None = None
    """The last word of a person who was asked and has not decided."""
    decision: ApprovalGiven | None = None
    rule: str = ""
    """The rule that let it run or had it asked about, in words."""
    result: ToolResult | None = None
    """Whole; the model reads it as `sizes` bounds it."""
    shown_characters: int = RESULT_CHARACTERS
    inputs: list[InputState] = field(default_factory=list[InputState])
    """What its server has asked a person."""
    samples: list[Usage] = field(default_factory=list[Usage])
    """What replies to its server, and agents that it ran, have used."""
    hide: Hide = field(default=str, repr=False)

    @property
    def veiled(self) -> ToolCall:
        """The call as people may see it."""
        return veiled(self.call, self.hide)

    @property
    def name_of_tool(self) -> str:
        """`server__tool` uncut; empty for a tool that was not shown."""
        return f"{self.server}__{self.tool_name}" if self.server else ""

    @property
    def open_inputs(self) -> list[InputState]:
        """What its server asks a person now."""
        return [] if self.result is not None else [one for one in self.inputs if one.given is None]

    @property
    def waiting(self) -> bool:
        """Whether a person must decide."""
        return self.asked is not None and self.decision is None and self.result is None

    @property
    def status(self) -> CallStatus:
        """As hosts read it."""
        if self.result is None:
            if self.waiting or self.open_inputs:
                return "waiting"
            return "running" if self.started else "pending"
        if self.result.code == "TOOL_DENIED":
            return "denied"
        if self.result.code == "INTERRUPTED":
            return "interrupted"
        return "error" if self.result.is_error else "ok"
