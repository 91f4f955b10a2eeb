"""Which part of a response has the answer, and whether anybody is there to read it."""

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from agent_mcp.server.presence import Presence, holds_answer


@pytest.mark.parametrize(
    "part",
    [
        b'event: message\r\ndata: {"jsonrpc":"2.0","id":1,"result":{"method":"x"}}\r\n\r\n',
        b'data: {"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}\n\n',
    ],
)
def test_a_result_and_an_error_are_answers(part: bytes) -> None:
    assert holds_answer(part)


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b": ping\r\n\r\n",
        b"id: 1\r\ndata: \r\n\r\n",
        b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"result":1}}\r\n\r\n',
        b'data: {"jsonrpc":"2.0","id":2,"method":"elicitation/create","params":{}}\r\n\r\n',
    ],
)
def test_pings_news_and_questions_are_none(part: bytes) -> None:
    assert not holds_answer(part)


@pytest.mark.anyio
@pytest.mark.parametrize(("heard", "delivered"), [(1, True), (2, False)])
async def test_who_hung_up_before_the_answer_does_not_have_it(heard: int, delivered: bool) -> None:
    messages: list[Message] = [{"type": "http.request"}, {"type": "http.disconnect"}]
    done: list[bool] = []

    async def deed() -> None:
        done.append(True)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["agent_mcp.client"].receipt.then(deed)
        for _ in range(heard):
            await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        pass

    with anyio.fail_after(5):
        await Presence(answer, anyio.Event())({"type": "http"}, receive, send)
    assert bool(done) == delivered
