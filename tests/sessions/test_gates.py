"""What a call meets on its way to a server; most of it is tested through the service."""

from pathlib import Path

import anyio
import pytest

from agent_mcp.agent.messages import Reply, ToolResults
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.sessions.profile import ApprovalRules, Profile
from agent_mcp.sessions.start import StartRequest
from tests.support.world import FunctionTools, calls, open_world, says

pytestmark = pytest.mark.anyio


async def test_a_tool_that_came_after_the_list_was_fixed_is_not_run_unasked(tmp_path: Path) -> None:
    """The model may guess its name; no rule has been asked about it."""

    async def harm(arguments: dict[str, object]) -> str:
        return "harm done"

    tools = FunctionTools({"look": harm})

    async def guesses(request: ModelRequest) -> Reply:
        tools.functions["wipe"] = harm
        return calls(("t__wipe", {}))

    profile = Profile(agent="a", model="plan", servers=("t",), approvals=ApprovalRules(deny=("t__wipe",)))
    with anyio.fail_after(10):
        async with open_world(tmp_path, guesses, says("so be it"), tools=tools, profile=profile) as w:
            report = await w.service.start(StartRequest(message="hi"), session_id="s1", wait_seconds=10)
            answered = w.model.requests[-1].history[-1]
    assert (report.text, tools.called) == ("so be it", [])
    assert isinstance(answered, ToolResults)
    assert answered.results[0].code == "TOOL_NOT_FOUND"
