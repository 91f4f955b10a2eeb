"""Models without a model: one runs a written script, one runs the commands that the user writes.

They make sessions, tools, approvals and storage real for someone without a key, and every answer says what they are.
"""

from collections.abc import Sequence
from dataclasses import replace

import anyio

from agent_mcp.agent.events import Emit, TextDelta
from agent_mcp.agent.messages import Message, Reply, Text, ToolCall, ToolResults, Usage, UserMessage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.models.calls import new_call, stop_of
from agent_mcp.models.faults import Refusal
from agent_mcp.models.rendering import result_text, to_json
from agent_mcp.models.script_file import Script, ScriptError, ScriptReply
from agent_mcp.models.target import SCRIPTED

_COMMAND = "/call"
_MAX_TOOLS_SHOWN = 50
_FROM_SCRIPT = "[scripted reply, no model]"
_NO_MODEL = (
    "[no model is configured; this is agent-mcp's built-in scripted model, which runs only /call lines]"
)


class ScriptedModel:
    """Gives the replies of a script in order: which one comes is how many replies the history holds."""

    wire = SCRIPTED
    name = "script"

    def __init__(self, script: Script) -> None:
        self._script = script
        self._failed: dict[tuple[str, int], int] = {}

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port."""
        index = sum(isinstance(message, Reply) for message in request.history)
        if index >= len(self._script.replies):
            return _answer(f"{_FROM_SCRIPT} The script is over after {index} replies.", (), emit)
        entry = self._script.replies[index]
        await anyio.sleep(entry.delay_seconds)
        if entry.error is not None:
            self._fail(entry.error, (request.session_id, index))
        calls = () if request.tool_choice == "none" else _script_calls(entry)
        reply = _answer(f"{_FROM_SCRIPT} {entry.text}".rstrip(), calls, emit)
        stop = stop_of(entry.stop, has_calls=bool(calls))
        return replace(reply, stop=stop, usage=Usage(**entry.usage.model_dump()))

    def _fail(self, error: ScriptError, place: tuple[str, int]) -> None:
        failed = self._failed.get(place, 0)
        if error.times is not None and failed >= error.times:
            return
        self._failed[place] = failed + 1
        refusal = Refusal(error.message, status=error.status, retry_after_seconds=error.retry_after)
        raise refusal.to_error(place="the script", hide=str, key_variable=None)


class CommandModel:
    """Runs the `/call server__tool {json}` lines of a message, and then repeats what came of them."""

    wire = SCRIPTED
    name = "commands"

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        """See the port."""
        news = _since_last_reply(request.history)
        said = "\n".join(message.text for message in news if isinstance(message, UserMessage))
        calls = _commands(said)
        results = [
            text for message in news if isinstance(message, ToolResults) for text in _result_texts(message)
        ]
        if calls and request.tool_choice == "auto":
            results.append(f"Running {len(calls)} call{'s' * (len(calls) > 1)}.")
            return _answer(_paragraphs(results), calls, emit)
        if calls:
            results.append("The calls were not made: this reply may not call tools.")
        return _answer(_paragraphs(results or [_help(request)]), (), emit)


def _since_last_reply(history: Sequence[Message]) -> list[Message]:
    news: list[Message] = []
    for message in reversed(history):
        if isinstance(message, Reply):
            break
        news.append(message)
    return news[::-1]


def _commands(text: str) -> tuple[ToolCall, ...]:
    """The calls of all command lines; what follows the tool's name is its arguments as they stand."""
    lines = [line.split(maxsplit=2) for line in text.splitlines()]
    commands = [[*words, ""] for words in lines if len(words) > 1 and words[0] == _COMMAND]
    return tuple(new_call(words[1], words[2], provider_id="", taken=set()) for words in commands)


def _result_texts(results: ToolResults) -> list[str]:
    return [result_text(result.text, result) for result in results.results]


def _paragraphs(texts: Sequence[str]) -> str:
    return "\n\n".join([_NO_MODEL, *texts])


def _help(request: ModelRequest) -> str:
    names = [tool.name for tool in request.tools]
    if not names:
        return "There are no tools to call. Set ANTHROPIC_API_KEY or name a model to have a real answer."
    shown = names[:_MAX_TOOLS_SHOWN]
    more = f"\n… and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    listed = "\n".join(f"- {name}" for name in shown)
    return f"To call a tool write a line such as: {_COMMAND} {shown[0]} {{}}\nThe tools are:\n{listed}{more}"


def _script_calls(entry: ScriptReply) -> tuple[ToolCall, ...]:
    raw = [
        call.arguments if isinstance(call.arguments, str) else to_json(call.arguments) for call in entry.calls
    ]
    pairs = zip(entry.calls, raw, strict=True)
    return tuple(new_call(call.tool, arguments, provider_id="", taken=set()) for call, arguments in pairs)


def _answer(text: str, calls: tuple[ToolCall, ...], emit: Emit) -> Reply:
    emit(TextDelta(text))
    stop = stop_of(None, has_calls=bool(calls))
    return Reply(parts=(Text(text), *calls), stop=stop, wire=SCRIPTED, model=SCRIPTED)
