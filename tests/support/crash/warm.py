"""What a light process needs, imported and built once, for all of them to inherit."""

from agent_mcp.agent.messages import Text, ToolCall, Usage
from agent_mcp.sessions.events import (
    ApprovalAsked,
    ApprovalGiven,
    EventData,
    ModelReplied,
    ToolFinished,
    ToolsFixed,
    ToolStarted,
    TurnDelivered,
    TurnEnded,
    UserMessageAdded,
)
from agent_mcp.sessions.profile import Profile
from agent_mcp.store.codec import decode, decode_profile, encode, encode_profile
from agent_mcp.store.migrate import read_scripts
from tests.support import world as world

_CALL = ToolCall("call_1", "t__look", {})
_EVENTS: tuple[EventData, ...] = (
    UserMessageAdded("go"),
    ToolsFixed(()),
    ModelReplied(0, (_CALL,), "tool_use", Usage(), read=1),
    ToolStarted("call_1", rerun=True),
    ToolFinished("call_1", (Text("looked"),)),
    ApprovalAsked("call_1", 0.0),
    ApprovalGiven("call_1", "allow"),
    TurnEnded("end_turn"),
    TurnDelivered(),
)

read_scripts()
# What reads profiles and events is built at first use, which is too often in processes this short.
decode_profile(encode_profile(Profile()))
for _event in _EVENTS:
    decode(_event.kind, encode(_event).text)
