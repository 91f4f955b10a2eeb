"""Tools in this process whose server asks in the middle of a call, as the hub's would. For tests above the wire."""

import json
from typing import Any

from mcp.client._memory import InMemoryTransport
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from agent_mcp.agent.messages import Text, ToolCall, ToolResult, UserMessage
from agent_mcp.agent.tools import Tool
from agent_mcp.sessions.inquiries import Question, Refusal, SampleRequest
from agent_mcp.sessions.tool_ports import ToolScope
from tests.support.world import FunctionTools

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "string", "default": "small"}},
    "required": ["name"],
}


class AskingTools(FunctionTools):
    """The tools `ask` (a form), `open` (an address) and `sample`, on a server named `t`."""

    scope: ToolScope | None = None

    @property
    def tools(self) -> tuple[Tool, ...]:
        """As shown."""
        return tuple(
            Tool(f"t__{name}", name, {"type": "object"}, "t", name) for name in ("ask", "open", "sample")
        )

    async def open_toolbox(self, scope: ToolScope) -> "AskingTools":
        """These tools, for one turn at a time."""
        self.scope = scope
        return self

    async def call(self, call: ToolCall) -> ToolResult:
        """What came of the question, as JSON."""
        assert self.scope is not None
        self.called.append((call.name, call.arguments or {}))
        text = str((call.arguments or {}).get("text", "?"))
        match call.name:
            case "t__sample":
                said = await _sampled(self.scope, call.id, text)
            case "t__open":
                said = await _asked(self.scope, call.id, Question(text, url="https://example.org/pay"))
            case _:
                said = await _asked(self.scope, call.id, Question(text, schema=FORM))
        return ToolResult(call.id, (Text(said),), provider_id=call.provider_id)


async def _asked(scope: ToolScope, call_id: str, question: Question) -> str:
    assert scope.ask is not None
    answer = await scope.ask(call_id, question)
    return json.dumps({"action": answer.action, "content": answer.content})


async def _sampled(scope: ToolScope, call_id: str, text: str) -> str:
    assert scope.sample is not None
    outcome = await scope.sample(call_id, SampleRequest((UserMessage(text),), "Be brief.", 7))
    return outcome.reason if isinstance(outcome, Refusal) else f"{outcome.model}: {outcome.text}"


async def start_answering(server: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """What `start_session` says to a host up to 2025-11-25 that answers all it is asked with `answer`.

    By hand: the SDK's own client sends nothing that does not fit the protocol.
    """
    opening: dict[str, Any] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"elicitation": {}},
        "clientInfo": _INFO,
    }
    call = {"name": "start_session", "arguments": {"message": "go"}}
    async with InMemoryTransport(server) as (incoming, outgoing):
        await outgoing.send(_sent(JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params=opening)))
        await incoming.receive()
        ready = JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")
        await outgoing.send(_sent(ready))
        await outgoing.send(_sent(JSONRPCRequest(jsonrpc="2.0", id=2, method="tools/call", params=call)))
        async for message in incoming:
            assert isinstance(message, SessionMessage)
            match message.message:
                case JSONRPCRequest(id=number):
                    await outgoing.send(_sent(JSONRPCResponse(jsonrpc="2.0", id=number, result=answer)))
                case JSONRPCResponse(id=2, result=result):
                    return result["structuredContent"]
                case _:
                    pass
    raise EOFError("the server has ended")


_INFO = {"name": "by hand", "version": "1"}


def _sent(message: JSONRPCRequest | JSONRPCNotification | JSONRPCResponse) -> SessionMessage:
    return SessionMessage(message)
