"""The prompt `delegate`: a host's user picks it to hand a task to an agent, and the host's model makes the calls."""

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
)

from agent_mcp.server.icons import ICON
from agent_mcp.server.resources import Context
from agent_mcp.sessions.cards import AgentCards

DELEGATE = "delegate"
_DESCRIPTION = "Hand a task to an agent, which works on it in a session of its own and answers."


class Prompts:
    """Lists the prompt and fills it in."""

    def __init__(self, cards: AgentCards) -> None:
        self._cards = cards

    async def list(self, ctx: Context, params: PaginatedRequestParams | None) -> ListPromptsResult:
        """The one prompt."""
        return ListPromptsResult(prompts=[delegate_prompt()])

    async def get(self, ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        """The prompt with its arguments.

        Raises:
            MCPError: no prompt has this name, no task was given, or no agent has the name that was given.
        """
        if params.name != DELEGATE:
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown prompt {params.name!r}. Known: {DELEGATE}.")
        given = params.arguments or {}
        task, agent = given.get("task", "").strip(), given.get("agent", "").strip()
        if not task:
            raise MCPError(code=INVALID_PARAMS, message="task: is required: what the agent should do.")
        if agent and agent not in self._cards.names:
            known = ", ".join(self._cards.names) or "none; leave it out"
            raise MCPError(
                code=INVALID_PARAMS, message=f"agent: there is no agent {agent!r}. Known: {known}."
            )
        message = PromptMessage(role="user", content=TextContent(type="text", text=self._text(task, agent)))
        return GetPromptResult(description=_DESCRIPTION, messages=[message])

    def _text(self, task: str, agent: str) -> str:
        return "\n\n".join(
            part for part in (self._opening(agent), _PROCEDURE, f"The task:\n\n{task}") if part
        )

    def _opening(self, agent: str) -> str:
        if agent:
            return (
                f'Delegate the task below: call start_session with agent "{agent}" and the task as message.'
            )
        opening = "Delegate the task below: call start_session with the task as message."
        if not self._cards.names:
            return opening
        known = "\n".join(_line(name, self._cards.profile(name).description) for name in self._cards.names)
        return f"{opening} Choose the agent that fits best, or leave `agent` out:\n\n{known}"


_PROCEDURE = (
    "The agent sees nothing of this conversation: put into the message whatever it needs to know. "
    "While the status is running, call send_message with the session_id and no message to keep waiting. "
    "When it is needs_approval, show me each waiting call and answer with approve as I decide. "
    "If the agent asks something, answer with send_message if you can, else ask me. "
    "At the end give me its answer, and name the session_id."
)


def _line(name: str, description: str) -> str:
    return f"- {name}: {description}" if description else f"- {name}"


def delegate_prompt() -> Prompt:
    """As hosts list it."""
    return Prompt(
        name=DELEGATE,
        title="Delegate a task",
        description=_DESCRIPTION,
        icons=[ICON],
        arguments=[
            PromptArgument(name="task", title="Task", description="What the agent should do.", required=True),
            PromptArgument(
                name="agent",
                title="Agent",
                description="Which agent; none: let the model choose.",
                required=False,
            ),
        ],
    )
