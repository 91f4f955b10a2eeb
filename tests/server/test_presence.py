"""Which part of a response has the answer."""

import pytest

from agent_mcp.server.presence import holds_answer


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
