"""What every wire must do, over real HTTP: requests that grow by appending, replies whole or not at all."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import anyio
import pytest

from agent_mcp.agent.events import ReplyRestarted
from agent_mcp.agent.messages import Media, Reply, Text, Usage, UserMessage
from agent_mcp.agent.tools import Tool
from agent_mcp.config.schema import ModelEntry
from agent_mcp.errors import ContextOverflowError, ModelError, TransientModelError
from agent_mcp.models.catalog import ModelCatalog
from tests.models.talk import AT_ONCE, ECHO, KEY, WIRES, Talk, open_catalog, talk_over
from tests.support.answering import answering
from tests.support.model_script import Answer, Call, Fault, FaultKind, script_of
from tests.support.model_server import RecordedRequest, open_model_server

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("reference", WIRES)]

CALLS = (Call(name="local__echo", arguments={"text": "a"}), Call(name="local__echo", arguments={"text": "b"}))
PNG = Media("image/png", "iVBORw0KGgo=")


def conversation_bytes(request: RecordedRequest) -> bytes:
    """The messages as they were sent, without the closing brackets."""
    _, _, tail = request.body.partition(b'"messages":[' if b'"messages":[' in request.body else b'"input":[')
    return tail.removesuffix(b"]}")


async def test_a_text_reply_is_streamed_and_returned_whole(reference: str) -> None:
    with anyio.fail_after(20):
        async with talk_over(reference, script_of(Answer(text="Grüße, Welt 🌍", piece_chars=3))) as (talk, _):
            reply = await talk.say("hi")
    assert reply.text == "Grüße, Welt 🌍" == talk.heard
    assert reply.stop == "end_turn"
    assert reply.model == "fake"
    assert reply.wire == talk.model.wire


async def test_usage_counts_cached_tokens_as_input(reference: str) -> None:
    answer = Answer(text="x", input_tokens=100, cache_read_tokens=50, output_tokens=7)
    async with talk_over(reference, script_of(answer)) as (talk, _):
        reply = await talk.say("hi")
    assert reply.usage == Usage(input_tokens=150, output_tokens=7, cache_read_tokens=50)


async def test_parallel_calls_come_with_unique_ids_and_parsed_arguments(reference: str) -> None:
    async with talk_over(reference, script_of(Answer(text="I look.", calls=CALLS, piece_chars=4))) as (
        talk,
        _,
    ):
        reply = await talk.say("go")
    assert reply.stop == "tool_use"
    assert [call.arguments for call in reply.tool_calls] == [{"text": "a"}, {"text": "b"}]
    assert len({call.id for call in reply.tool_calls} | {call.provider_id for call in reply.tool_calls}) == 4


async def test_each_request_is_a_byte_identical_prefix_of_the_next(reference: str) -> None:
    steps = [Answer(text="I look.", thinking="Hm.", calls=CALLS)] * 3 + [Answer(text="Done.")]
    async with talk_over(reference, script_of(*steps, *steps)) as (talk, server):
        await talk.say("first")
        for _ in range(3):
            await talk.answer()
        await talk.say("second")
        await talk.answer()
        talk.history.append(UserMessage("a message that joined"))
    bodies = [conversation_bytes(request) for request in server.requests]
    assert len(bodies) == 6
    assert all(after.startswith(before) for before, after in pairwise(bodies))
    heads = {json.dumps({**request.json, "messages": 0, "input": 0}) for request in server.requests}
    assert len(heads) == 1


async def test_a_cold_start_renders_the_same_bytes_from_the_log(reference: str) -> None:
    steps = [Answer(text="I look.", thinking="Hm.", calls=CALLS), Answer(text="Done.")]
    async with open_model_server(script_of(*steps)) as server:
        async with open_catalog(server) as catalog:
            talk = Talk(catalog.open_model(reference))
            await talk.say("first")
            await talk.answer()
            await talk.say("again")
        async with open_catalog(server) as catalog:
            again = Talk(catalog.open_model(reference), talk.history[:-1])
            await again.ask()
    assert server.requests[-1].body == server.requests[-2].body


@pytest.mark.parametrize("raw", ['{"text": "a', "[1]", "nonsense", '{"a": NaN}', '{"a": -1e999}'])
async def test_arguments_that_are_no_json_object_are_kept_and_the_talk_goes_on(
    reference: str, raw: str
) -> None:
    call = Call(name="local__echo", raw_arguments=raw)
    async with talk_over(reference, script_of(Answer(calls=(call,)), Answer(text="Sorry."))) as (talk, _):
        reply = await talk.say("go")
        assert [(call.arguments, call.raw_arguments) for call in reply.tool_calls] == [(None, raw)]
        after = await talk.answer((Text("TOOL_ERROR: the arguments are not a JSON object"),), is_error=True)
    assert after.text == "Sorry."


async def test_empty_arguments_are_an_empty_object(reference: str) -> None:
    call = Call(name="local__echo", raw_arguments="")
    async with talk_over(reference, script_of(Answer(calls=(call,)), Answer(text="ok"))) as (talk, _):
        reply = await talk.say("go")
        assert reply.tool_calls[0].arguments == {}
        assert (await talk.answer()).text == "ok"


async def test_repeated_and_missing_call_ids_are_replaced(reference: str) -> None:
    calls = tuple(Call(name="local__echo", id=given) for given in ("same", "same", ""))
    async with talk_over(reference, script_of(Answer(calls=calls), Answer(text="ok"))) as (talk, _):
        reply = await talk.say("go")
        assert len({call.provider_id for call in reply.tool_calls}) == 3
        assert (await talk.answer()).text == "ok"


@pytest.mark.parametrize("kind", ["disconnect", "no_stop", "bad_json", "error_event"])
async def test_a_reply_that_breaks_off_is_an_error_worth_another_try(reference: str, kind: FaultKind) -> None:
    answer = Answer(text="a longer text", piece_chars=2, fault=Fault(kind=kind))
    with anyio.fail_after(20):
        async with talk_over(reference, script_of(answer)) as (talk, _):
            with pytest.raises(TransientModelError) as caught:
                await talk.say("hi")
    assert caught.value.code == "MODEL_UNAVAILABLE"
    assert "127.0.0.1" in caught.value.message


@pytest.mark.parametrize("kind", ["disconnect", "no_stop", "bad_json", "error_event"])
async def test_a_reply_that_breaks_off_once_is_asked_for_again(reference: str, kind: FaultKind) -> None:
    answer = Answer(text="a longer text", piece_chars=2, fault=Fault(kind=kind, times=2))
    with anyio.fail_after(20):
        async with talk_over(reference, script_of(answer), retry=AT_ONCE) as (talk, server):
            reply = await talk.say("hi")
    assert reply.text == "a longer text"
    restarts = [event.attempt for event in talk.happenings if isinstance(event, ReplyRestarted)]
    assert restarts == [2, 3]
    assert len({request.body for request in server.requests}) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_a_passing_http_error_is_worth_another_try(reference: str, status: int) -> None:
    answer = Answer(text="x", fault=Fault(kind="status", status=status, message="not now", retry_after="7"))
    async with talk_over(reference, script_of(answer)) as (talk, _):
        with pytest.raises(TransientModelError, match=rf"{status}.*not now") as caught:
            await talk.say("hi")
    assert caught.value.retry_after_seconds == 7


async def test_retry_after_may_be_a_date(reference: str) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    answer = Answer(text="x", fault=Fault(kind="status", status=429, retry_after=later))
    async with talk_over(reference, script_of(answer)) as (talk, _):
        with pytest.raises(TransientModelError) as caught:
            await talk.say("hi")
    assert caught.value.retry_after_seconds == pytest.approx(30, abs=3)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_final_http_error_keeps_the_providers_words_and_no_key(reference: str, status: int) -> None:
    fault = Fault(kind="status", status=status, type="invalid_request_error", message=f"bad thing, key {KEY}")
    async with talk_over(reference, script_of(Answer(fault=fault)), retry=AT_ONCE) as (talk, server):
        with pytest.raises(ModelError, match="bad thing") as caught:
            await talk.say("hi")
    assert caught.value.code == "MODEL_ERROR"
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1
    assert ("API_KEY" in caught.value.hint) == (status in (401, 403))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "prompt is too long: 212345 tokens > 200000"),
        (400, "maximum context length is 4096"),
        (413, "too big"),
    ],
)
async def test_a_history_that_no_longer_fits_is_told_apart(reference: str, status: int, message: str) -> None:
    fault = Fault(kind="status", status=status, message=message)
    async with talk_over(reference, script_of(Answer(fault=fault))) as (talk, _):
        with pytest.raises(ContextOverflowError):
            await talk.say("hi")


async def test_a_provider_that_falls_silent_is_given_up_after_the_read_timeout(reference: str) -> None:
    answer = Answer(text="a longer text", piece_chars=2, fault=Fault(kind="hang"))
    with anyio.fail_after(20):
        async with talk_over(reference, script_of(answer), read_timeout_seconds=0.2) as (talk, _):
            with pytest.raises(TransientModelError, match="Timeout"):
                await talk.say("hi")


async def test_a_waiting_reply_can_be_cancelled_and_the_client_goes_on(reference: str) -> None:
    answer = Answer(text="a longer text", piece_chars=2, fault=Fault(kind="hang", times=1))
    with anyio.fail_after(20):
        async with talk_over(reference, script_of(answer)) as (talk, _):
            heard = anyio.Event()
            async with anyio.create_task_group() as group:

                async def ask() -> None:
                    await talk.say("hi")

                talk.happenings = _Signalling(heard)
                group.start_soon(ask)
                await heard.wait()
                group.cancel_scope.cancel()
            assert (await talk.ask()).text == "a longer text"


class _Signalling(list[Any]):
    def __init__(self, heard: anyio.Event) -> None:
        super().__init__()
        self._heard = heard

    def append(self, item: Any, /) -> None:
        super().append(item)
        self._heard.set()


async def test_an_address_where_nobody_listens_is_unavailable(reference: str) -> None:
    async with open_model_server() as server:
        pass
    async with open_catalog(server) as catalog:
        with pytest.raises(TransientModelError, match=r"reached.*Connect"):
            await Talk(catalog.open_model(reference)).say("hi")


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
async def test_a_redirect_takes_nothing_to_another_host(reference: str, status: str) -> None:
    async with answering(b"200 OK") as (elsewhere, theirs):
        head = f"{status}\r\nLocation: http://localhost:{elsewhere}/v1".encode()
        async with answering(head) as (port, ours):
            address = f"http://127.0.0.1:{port}"
            entry = ModelEntry(use=reference, base_url=address, headers={"X-Gateway": "for-the-first-alone"})
            catalog = ModelCatalog(
                {"m": entry}, {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}, retry=AT_ONCE
            )
            with pytest.raises(ModelError, match=status[:3]) as caught:
                await Talk(catalog.open_model("m")).say("hi")
            await catalog.aclose()
    assert "base_url" in caught.value.hint
    assert (len(ours), theirs) == (1, [])
    assert b"for-the-first-alone" in ours[0]


async def test_the_closing_request_shows_the_same_tools_and_forbids_them(reference: str) -> None:
    async with talk_over(reference, script_of(Answer(text="a"), Answer(text="b"))) as (talk, server):
        await talk.say("one")
        talk.request = replace(talk.request, tool_choice="none")
        await talk.say("two")
    first, second = (request.json for request in server.requests)
    assert first["tools"] == second["tools"]
    assert "tool_choice" not in first
    assert second["tool_choice"] in ({"type": "none"}, "none")


async def test_without_tools_the_request_has_no_tools(reference: str) -> None:
    async with talk_over(reference, script_of(Answer(text="a"))) as (talk, server):
        talk.request = type(talk.request)(system="", tools=(), history=(), tool_choice="none")
        await talk.say("one")
    assert not {"tools", "tool_choice", "system", "instructions", "prompt_cache_key"} & set(
        server.requests[0].json
    )


async def test_a_schema_that_providers_refuse_at_the_top_is_made_acceptable(reference: str) -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"anyOf": [{"required": ["a"]}]},
        {"type": ["object", "null"], "oneOf": []},
    ]
    tools = tuple(Tool(f"s__t{i}", "", schema, "s", f"t{i}") for i, schema in enumerate(odd))
    async with talk_over(reference, script_of(Answer(text="a"))) as (talk, _):
        talk.request = type(talk.request)(system="", tools=tools, history=())
        assert (await talk.say("one")).text == "a"


async def test_every_kind_of_result_is_shown_or_noted(reference: str) -> None:
    content = (Text("seen"), PNG, Media("audio/mpeg", "AAAA" * 4000), Media("application/pdf", "JVBERg=="))
    call = Call(name="local__echo", arguments={"text": "a"})
    async with talk_over(reference, script_of(Answer(calls=(call,)), Answer(text="ok"))) as (talk, server):
        await talk.say("go")
        assert (await talk.answer(content)).text == "ok"
    sent = server.requests[-1].body
    assert b"[audio/mpeg, 12 kB: not shown to this model]" in sent
    assert b"seen" in sent
    assert PNG.data.encode() in sent


@pytest.mark.parametrize("content", [(), (Text(""),), (Text(" "), Text(""))])
async def test_an_empty_result_says_so(reference: str, content: tuple[Text, ...]) -> None:
    call = Call(name="local__echo", arguments={"text": "a"})
    async with talk_over(reference, script_of(Answer(calls=(call,)), Answer(text="ok"))) as (talk, server):
        await talk.say("go")
        assert (await talk.answer(content)).text == "ok"
    assert b"(no output)" in server.requests[-1].body


async def test_a_failed_result_is_marked_as_failed(reference: str) -> None:
    call = Call(name="local__echo", arguments={"text": "a"})
    async with talk_over(reference, script_of(Answer(calls=(call,)), Answer(text="ok"))) as (talk, server):
        await talk.say("go")
        assert (await talk.answer((Text("it broke"), PNG), is_error=True)).text == "ok"
    sent = server.requests[-1].body
    assert b'"is_error":true' in sent or b"TOOL_ERROR: it broke" in sent


async def test_text_that_is_no_valid_unicode_is_sent_with_question_marks(reference: str) -> None:
    call = Call(name="local__echo", arguments={"text": "a"})
    async with talk_over(reference, script_of(Answer(calls=(call,)), Answer(text="ok"))) as (talk, server):
        await talk.say("lone \ud800 surrogate")
        assert (await talk.answer((Text("and \udfff one"),))).text == "ok"
    assert "lone ? surrogate" in server.requests[-1].body.decode()


@pytest.mark.parametrize("other", WIRES)
async def test_a_conversation_moves_to_another_wire_and_back(reference: str, other: str) -> None:
    steps = [Answer(text="I look.", thinking="Hm.", calls=CALLS), Answer(text="Done.", thinking="So.")] * 3
    async with open_model_server(script_of(*steps)) as server, open_catalog(server) as catalog:
        talk = Talk(catalog.open_model(reference))
        for model in (reference, other, reference):
            talk.model = catalog.open_model(model)
            await talk.say(f"over {model}")
            assert (await talk.answer()).text == "Done."
    assert sum(isinstance(message, Reply) for message in talk.history) == 6


async def test_a_conversation_from_the_scripted_model_goes_on_over_any_wire(reference: str) -> None:
    async with open_model_server(script_of()) as server, open_catalog(server) as catalog:
        talk = Talk(catalog.open_model("scripted"))
        await talk.say('/call local__echo {"text": "a"}')
        await talk.answer()
        talk.model = catalog.open_model(reference)
        assert (await talk.say("and now for real")).text == "Done."


async def test_replies_without_their_blocks_and_without_text_can_be_sent(reference: str) -> None:
    steps = [Answer(thinking="Only a thought."), Answer(text="ok"), Answer(text="ok")]
    async with talk_over(reference, script_of(*steps)) as (talk, server):
        await talk.say("one")
        await talk.say("two")
        talk.history[1] = replace(talk.history[1], blocks="")
        assert (await talk.say("three")).text == "ok"
    assert b"Only a thought." not in server.requests[-1].body


async def test_a_cut_reply_says_max_tokens_and_keeps_the_cut_call(reference: str) -> None:
    stops = {"anthropic:fake": "max_tokens", "openai:fake": "max_output_tokens", "openai-chat:fake": "length"}
    cut = Call(name="local__echo", raw_arguments='{"text": "a')
    answer = Answer(text="Well", calls=(cut,), stop=stops[reference])
    async with talk_over(reference, script_of(answer)) as (talk, _):
        reply = await talk.say("go")
    assert reply.stop == "max_tokens"
    assert [call.arguments for call in reply.tool_calls] == [None]


async def test_a_refusal_says_so(reference: str) -> None:
    stop = "refusal" if reference.startswith("anthropic") else "content_filter"
    async with talk_over(reference, script_of(Answer(text="No.", stop=stop))) as (talk, _):
        assert (await talk.say("go")).stop == "refusal"


async def test_an_unknown_stop_reason_is_read_by_the_calls(reference: str) -> None:
    steps = [Answer(calls=CALLS, stop="brand_new"), Answer(text="x", stop="brand_new")]
    async with talk_over(reference, script_of(*steps)) as (talk, _):
        assert (await talk.say("go")).stop == "tool_use"
        assert (await talk.answer()).stop == "end_turn"


async def test_the_tool_is_sent_with_its_schema(reference: str) -> None:
    async with talk_over(reference, script_of(Answer(text="x"))) as (talk, server):
        await talk.say("go")
    tool = json.dumps(server.requests[0].json["tools"][0])
    assert ECHO.name in tool
    assert '"required": ["text"]' in tool
