"""A model whose replies repeat nothing of what its provider was told in confidence: its key, its headers.

No honest provider does; one in between (a proxy, a gateway) may write a request's headers into an answer, and from
there they would go into the log, and piece by piece to whoever reads along.
"""

from dataclasses import replace
from typing import assert_never

from agent_mcp.agent.events import Emit, Happening, ReplyRestarted, TextDelta, ToolProgress
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
        stream = _DiscreetStream(emit, self._blot)
        reply = await self._model.reply(request, stream.emit)
        stream.end()
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


class _DiscreetStream:
    """Passes the pieces of a reply on, holding back what may be the beginning of a secret."""

    def __init__(self, emit: Emit, blot: Blot) -> None:
        self._emit = emit
        self._blot = blot
        self._held = ""

    def emit(self, happening: Happening) -> None:
        """Takes the place of the listener."""
        match happening:
            case TextDelta(text=text):
                text = self._held + text
                settled = self._blot.settled(text)
                self._held = text[settled:]
                self._say(text[:settled])
            case ReplyRestarted():
                self._held = ""
                self._emit(happening)
            case ToolProgress():
                self._emit(happening)
            case _:
                assert_never(happening)

    def end(self) -> None:
        """Nothing more comes: what is held back is no secret's beginning, or all of one."""
        held, self._held = self._held, ""
        self._say(held)

    def _say(self, text: str) -> None:
        if text:
            self._emit(TextDelta(self._blot(text)))
