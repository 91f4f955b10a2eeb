"""What real servers ask in the middle of a call: in both eras, over stdio and HTTP, and whose call it belongs to."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from agent_mcp.agent.messages import Media, Reply, ToolResult
from agent_mcp.config.schema import ServerEntry
from agent_mcp.downstream.desk import capabilities_for, to_question, to_sample
from agent_mcp.downstream.faults import RpcError
from agent_mcp.downstream.toolbox import ServerToolbox
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.inquiries import InputAnswer, Question, Refusal, SampleReply, SampleRequest
from tests.downstream.conftest import ROOT, Wishes, ask, call, hub_of, raw, scope, sdk, until

pytestmark = pytest.mark.anyio

ERAS = ["legacy", "modern"]
FORM: JsonObject = {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}
SAMPLED: JsonObject = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}],
    "maxTokens": 5,
}


def person(**content: Any) -> Wishes:
    """Somebody who fills in every form so."""

    async def answer(call_id: str, question: Question) -> InputAnswer:
        return InputAnswer("accept", content)

    return Wishes(ask=answer)


async def model(call_id: str, request: SampleRequest) -> SampleReply | Refusal:
    """A model that repeats what it was asked."""
    said = "".join(message.text for message in request.history)
    return SampleReply(f"{request.system} {said} {request.max_tokens}", "m1", is_cut=False)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The SDK's server over HTTP, one for all tests."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "tests.support.servers.sdk", "--http", str(listener.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()])
        yield f"http://127.0.0.1:{port}/mcp"
        process.kill()
        process.wait()


def served(address: str, **entry: Any) -> ServerEntry:
    return ServerEntry.model_validate({"url": address, **entry})


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_forms_samples_and_roots_are_answered(era: Any, transport: str, address: str) -> None:
    more: dict[str, Any] = {"era": era, "sampling": True, "roots": ("/srv/a b",)}
    entry = served(address, **more) if transport == "http" else sdk(**more)
    wishes = Wishes(ask=person(n=3).ask, sample=model)
    with anyio.fail_after(20):
        async with hub_of(m=entry) as hub:
            toolbox = await hub.open_toolbox(scope("m", wishes=wishes))
            said = [(await ask(toolbox, f"m__{name}")).text for name in ("order", "consult", "where")]
    assert said == ["accepted 3", "m1: Be brief. Say hi 7", "file:///srv/a%20b"]


@pytest.mark.parametrize("era", ERAS)
async def test_sampling_and_roots_are_offered_only_where_the_entry_says_so(era: Any, address: str) -> None:
    with anyio.fail_after(20):
        async with hub_of(m=served(address, era=era)) as hub:
            toolbox = await hub.open_toolbox(scope("m", wishes=Wishes(sample=model)))
            results = [await ask(toolbox, f"m__{name}") for name in ("consult", "where")]
    assert all(result.is_error for result in results)
    assert "sampling" in results[0].text
    assert "roots" in results[1].text


def test_capabilities_follow_the_entry() -> None:
    elicitation: JsonObject = {"form": {}, "url": {}}
    assert capabilities_for(ServerEntry(command="x")) == {"elicitation": elicitation}
    offered = capabilities_for(ServerEntry(command="x", sampling=True, roots=("/a",)))
    assert offered == {"elicitation": elicitation, "sampling": {}, "roots": {}}


async def _together(first: ServerToolbox, second: ServerToolbox, **arguments: Any) -> list[ToolResult]:
    """The results of the same call by two sessions at once."""
    found: dict[int, ToolResult] = {}

    async def one(number: int, toolbox: ServerToolbox, name: str) -> None:
        found[number] = await toolbox.call(call(name, arguments, call_id=f"call_{number}"))

    name = first.tools[0].name.partition("__")[0] + ("__order" if not arguments else "__ask_back")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one, 1, first, name)
        tasks.start_soon(one, 2, second, name)
    return [found[1], found[2]]


async def test_over_http_the_stream_tells_whose_call_a_question_belongs_to(address: str) -> None:
    begun = 0

    async def slow(n: int, call_id: str, question: Question) -> InputAnswer:
        nonlocal begun
        begun += 1
        await until(lambda: begun == 2)
        return InputAnswer("accept", {"n": n})

    def wishes(n: int) -> Wishes:
        async def answer(call_id: str, question: Question) -> InputAnswer:
            return await slow(n, call_id, question)

        return Wishes(ask=answer)

    with anyio.fail_after(20):
        async with hub_of(m=served(address, era="legacy")) as hub:
            first = await hub.open_toolbox(scope("m", session_id="s1", wishes=wishes(1)))
            second = await hub.open_toolbox(scope("m", session_id="s2", wishes=wishes(2)))
            results = await _together(first, second)
    assert [result.text for result in results] == ["accepted 1", "accepted 2"]


@pytest.mark.parametrize(("own", "action"), [("shared", "cancel"), ("session", "accept")])
async def test_over_stdio_a_question_is_answered_only_where_one_call_runs(own: Any, action: str) -> None:
    asked: list[str] = []

    async def answer(call_id: str, question: Question) -> InputAnswer:
        asked.append(call_id)
        return InputAnswer("accept", {})

    begun = anyio.Event()
    wishes = Wishes(ask=answer)
    with anyio.fail_after(20):
        async with hub_of(r=raw(scope=own)) as hub, anyio.create_task_group() as tasks:
            first = await hub.open_toolbox(scope("r", session_id="s1", wishes=wishes))
            other = scope("r", session_id="s2", wishes=wishes, emit=lambda _: begun.set())
            second = await hub.open_toolbox(other)
            tasks.start_soon(lambda: ask(second, "r__slow", seconds=60))
            await begun.wait()
            assert await _asked_back(first) == action
            assert bool(asked) == (action == "accept")
            tasks.cancel_scope.cancel()


async def _asked_back(toolbox: ServerToolbox) -> str:
    result = await ask(toolbox, "r__ask_back", method="elicitation/create", params=FORM)
    return json.loads(result.text)["result"]["action"]


async def test_the_time_that_a_person_takes_is_none_of_the_calls(address: str) -> None:
    async def slow(call_id: str, question: Question) -> InputAnswer:
        await anyio.sleep(0.8)
        return InputAnswer("accept", {"n": 1})

    with anyio.fail_after(20):
        async with hub_of(m=served(address, era="legacy", timeout=0.5)) as hub:
            result = await ask(await hub.open_toolbox(scope("m", wishes=Wishes(ask=slow))), "m__order")
    assert result.text == "accepted 1"
    assert result.duration_ms < 500


async def test_a_cancelled_call_takes_its_question_with_it(address: str) -> None:
    asked, dropped = anyio.Event(), anyio.Event()

    async def never(call_id: str, question: Question) -> InputAnswer:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            dropped.set()
        raise AssertionError

    with anyio.fail_after(20):
        async with hub_of(m=served(address, era="legacy")) as hub:
            toolbox = await hub.open_toolbox(scope("m", wishes=Wishes(ask=never)))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: ask(toolbox, "m__order"))
                await asked.wait()
                tasks.cancel_scope.cancel()
            await dropped.wait()
            assert (await ask(toolbox, "m__echo", value="still here")).text.startswith("still here")


async def test_an_answerer_that_fails_costs_only_its_question(address: str) -> None:
    async def broken(call_id: str, question: Question) -> InputAnswer:
        raise KeyError("a bug")

    with anyio.fail_after(20):
        async with hub_of(m=served(address, era="legacy")) as hub:
            result = await ask(await hub.open_toolbox(scope("m", wishes=Wishes(ask=broken))), "m__order")
    assert result.text == "declined"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"message": 1, "requestedSchema": {}},
        {"message": "?"},
        {"mode": "url", "message": "?"},
    ],
)
def test_what_is_no_question_is_refused(params: JsonObject) -> None:
    with pytest.raises(RpcError, match="needs a message"):
        to_question(params)


@pytest.mark.parametrize(
    "url", ["", "javascript:alert(1)", "file:///etc/passwd", "https://x/" + "y" * 40_000]
)
def test_only_web_addresses_are_shown_to_people(url: str) -> None:
    with pytest.raises(RpcError, match="http or https"):
        to_question({"mode": "url", "message": "?", "url": url})
    assert to_question({"mode": "url", "message": "?", "url": "HTTPS://x"}).url == "HTTPS://x"


def test_a_form_of_any_length_is_not_taken() -> None:
    with pytest.raises(RpcError, match="32000 characters"):
        to_question({"message": "?", "requestedSchema": {"description": "x" * 40_000}})


UNSAMPLED: list[tuple[JsonObject, str]] = [
    ({"tools": [{"name": "x"}]}, "with tools is not supported"),
    ({"messages": []}, "`messages` must be"),
    ({"messages": "hi"}, "`messages` must be"),
    ({"messages": [{"role": "system", "content": {}}]}, "needs a role"),
    (
        {"messages": [{"role": "user", "content": {"type": "audio", "data": "x"}}]},
        "'audio' is not supported",
    ),
    ({"messages": [{"role": "user", "content": 5}]}, "5 is not supported"),
    ({"maxTokens": 0}, "`maxTokens` must be"),
    ({"maxTokens": True}, "`maxTokens` must be"),
]


@pytest.mark.parametrize(("change", "problem"), UNSAMPLED)
def test_what_cannot_be_sampled_is_refused_with_the_reason(change: JsonObject, problem: str) -> None:
    with pytest.raises(RpcError, match=problem):
        to_sample({**SAMPLED, **change})


def test_a_sample_keeps_texts_images_roles_and_the_limit() -> None:
    image = {"type": "image", "data": "aW1n", "mimeType": "image/png"}
    text = {"type": "text", "text": "what is it?"}
    messages: list[JsonObject] = [
        {"role": "user", "content": [image, text]},
        {"role": "assistant", "content": {"type": "text", "text": "a dot"}},
        {"role": "user", "content": {"type": "text", "text": "sure?"}},
    ]
    request = to_sample({"messages": messages, "maxTokens": 9, "systemPrompt": "Look."})
    first, second, third = request.history
    assert (request.system, request.max_tokens) == ("Look.", 9)
    assert (first.text, getattr(first, "media", ())) == ("what is it?", (Media("image/png", "aW1n"),))
    assert isinstance(second, Reply) and second.text == "a dot"
    assert third.text == "sure?"
    wrong: list[JsonObject] = [{"role": "user", "content": text}, {"role": "assistant", "content": image}]
    with pytest.raises(RpcError, match="may hold text only"):
        to_sample({"messages": wrong, "maxTokens": 9})
