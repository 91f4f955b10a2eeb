"""A model whose replies repeat nothing of what its provider was told in confidence: its key, its headers.

No honest provider does; one in between (a proxy, a gateway) may write a request's headers into an answer, and from
there they would go into the log.
"""

from dataclasses import replace

from agent_mcp.agent.events import Emit
from agent_mcp.agent.messages import Part, Reply, Text, Thinking, ToolCall
from agent_mcp.agent.ports import Model, ModelRequest
from agent_mcp.config.blot import Blot


class DiscreetModel:
    """The port `Model` around another one."""

    def __init__(self, model: Model, blot: Blot) -> None:
        self._model = model
        self._blot = blot

    @property
    def wire(self) -> str:
        """The inner model's."""
        return self._model.wire

    @property
    def name(self) -> str:
        """The inner model's."""
        return self._model.name

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port."""
        reply = await self._model.reply(request, emit)
        parts, blocks = tuple(map(self._blotted, reply.parts)), self._blot(reply.blocks)
        # The very same reply where there is nothing to hide: adapters keep what they rendered from it.
        return (
            reply
            if (parts, blocks) == (reply.parts, reply.blocks)
            else replace(reply, parts=parts, blocks=blocks)
        )

    def _blotted(self, part: Part) -> Part:
        match part:
            case Text() | Thinking():
                return replace(part, text=self._blot(part.text))
            case ToolCall():
                raw = self._blot(part.raw_arguments)
                return replace(part, arguments=self._blot.json(part.arguments), raw_arguments=raw)
