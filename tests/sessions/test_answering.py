"""A server's question in the log: after a restart, in too great a number, and in logs of other versions."""

from pathlib import Path

import anyio
import pytest

from agent_mcp.sessions import answering
from agent_mcp.sessions.events import InputAsked, InputGiven, InputShown, ModelReplied, ToolStarted
from agent_mcp.sessions.inquiries import Question, with_defaults
from agent_mcp.sessions.log import SessionState
from agent_mcp.sessions.ports import NewSession
from agent_mcp.sessions.profile import Profile
from agent_mcp.sessions.start import StartRequest
from tests.support.asking import FORM, AskingTools
from tests.support.world import calls, open_world, says

pytestmark = pytest.mark.anyio

PROFILE = Profile(agent="a", model="plan", servers=("t",))


def asked(call_id: str, *, expires_at: float = 1e12) -> InputAsked:
    return InputAsked("input_1", call_id, "t", "Which name?", expires_at, FORM)


async def test_a_question_left_open_by_a_crash_is_over_when_the_turn_goes_on(tmp_path: Path) -> None:
    reply = calls(("t__ask", {"text": "Which name?"}))
    [call] = reply.tool_calls
    with anyio.fail_after(10):
        async with open_world(tmp_path, reply, says("done"), profile=PROFILE, tools=AskingTools()) as w:
            await w.store.create(NewSession("s1", PROFILE), message="go")
            begun = [
                ModelReplied(0, reply.parts, "tool_use", reply.usage, read=1),
                ToolStarted(call.id, rerun=False),
                asked(call.id),
            ]
            await w.store.append("s1", 1, begun)
            report = await w.service.send("s1", None, wait_seconds=8)
            state = await w.logs.state("s1")
    assert report.stop_reason == "end_turn"
    assert state.calls[call.id].status == "interrupted"
    assert state.inputs.known["input_1"].given == InputGiven("input_1", "cancel", unasked=True)
    assert w.tools.called == []


async def test_the_first_answer_counts_and_answers_to_nothing_are_passed_over(tmp_path: Path) -> None:
    reply = calls(("t__ask", {}))
    with anyio.fail_after(10):
        async with open_world(tmp_path, reply, says("done"), profile=PROFILE, tools=AskingTools()) as w:
            await w.store.create(NewSession("s1", PROFILE))
            question = asked(reply.tool_calls[0].id)
            events = [
                ModelReplied(0, reply.parts, "tool_use", reply.usage, read=0),
                InputGiven("nobody", "accept"),
                InputShown("nobody"),
                question,
                InputShown("input_1"),
                InputGiven("input_1", "accept", {"name": "first"}),
                InputGiven("input_1", "decline"),
            ]
            await w.store.append("s1", 1, events)
            state = SessionState("s1")
            state.absorb(await w.store.read("s1"))
            await w.service.answer_input("s1", InputGiven("input_1", "decline"))
            again = SessionState("s1")
            again.absorb(await w.store.read("s1"))
    known = state.inputs.known["input_1"]
    assert (known.shown, known.given) == (True, InputGiven("input_1", "accept", {"name": "first"}))
    assert again.seq == state.seq


async def test_a_call_that_asks_without_end_is_no_longer_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "INPUTS_PER_CALL", 0)
    plan = [calls(("t__ask", {"text": "Which name?"})), says("done")]
    with anyio.fail_after(10):
        async with open_world(tmp_path, *plan, profile=PROFILE, tools=AskingTools()) as w:
            await w.service.start(StartRequest(message="go"), session_id="s1", wait_seconds=8)
            state = await w.logs.state("s1")
    assert state.inputs.known == {}
    assert [call.status for call in state.calls.values()] == ["ok"]


def test_fields_left_out_of_a_form_take_its_defaults() -> None:
    assert with_defaults(FORM, {"name": "Ada"}) == {"name": "Ada", "size": "small"}
    assert with_defaults(FORM, {"size": "big"}) == {"size": "big"}
    assert with_defaults({}, None) == {}
    assert with_defaults({"properties": {"a": True}}, None) == {}
    assert Question("?").schema == {}
