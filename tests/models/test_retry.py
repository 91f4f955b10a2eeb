"""Trying again: when, how long, how often, and what is said of it."""

from collections.abc import Sequence

import anyio
import pytest

from agent_mcp.agent.events import Emit, Happening, ReplyRestarted
from agent_mcp.agent.messages import Reply, Text, UserMessage
from agent_mcp.agent.ports import ModelRequest
from agent_mcp.errors import ModelError, TransientModelError
from agent_mcp.models.retry import RetryingModel, RetryPolicy

pytestmark = pytest.mark.anyio

REQUEST = ModelRequest(system="", tools=(), history=(UserMessage("hi"),))
ANSWER = Reply(parts=(Text("ok"),), stop="end_turn")


class FailingModel:
    """Fails with each of the errors in turn, then answers."""

    wire = "scripted"
    name = "failing"

    def __init__(self, errors: Sequence[ModelError]) -> None:
        self._errors = list(errors)
        self.tries = 0

    async def reply(self, request: ModelRequest, emit: Emit) -> Reply:
        self.tries += 1
        if self._errors:
            raise self._errors.pop(0)
        return ANSWER


def transient(wait: float | None = None) -> TransientModelError:
    return TransientModelError("429 slow down", retry_after_seconds=wait)


async def test_it_answers_once_the_provider_does_and_tells_of_every_new_try() -> None:
    happenings: list[Happening] = []
    inner = FailingModel([transient(0.0), transient(0.0)])
    assert await RetryingModel(inner, RetryPolicy()).reply(REQUEST, happenings.append) is ANSWER
    assert happenings == [ReplyRestarted("429 slow down", 0.0, 2), ReplyRestarted("429 slow down", 0.0, 3)]


async def test_it_gives_up_after_the_last_try_and_says_how_many_there_were() -> None:
    inner = FailingModel([transient()] * 9)
    model = RetryingModel(inner, RetryPolicy(max_tries=3, base_delay_seconds=0.0))
    with pytest.raises(TransientModelError, match=r"429 slow down \(tried 3 times\)"):
        await model.reply(REQUEST, lambda _: None)
    assert inner.tries == 3


async def test_a_final_error_is_not_tried_again() -> None:
    inner = FailingModel([ModelError("400 no")])
    with pytest.raises(ModelError, match="400 no"):
        await RetryingModel(inner, RetryPolicy()).reply(REQUEST, lambda _: None)
    assert inner.tries == 1


async def test_it_gives_up_at_once_where_the_wait_would_exceed_its_patience() -> None:
    inner = FailingModel([transient(3600.0)])
    model = RetryingModel(inner, RetryPolicy(max_delay_seconds=60.0, patience_seconds=59.0))
    with anyio.fail_after(5):
        with pytest.raises(TransientModelError, match=r"tried 1 time\)"):
            await model.reply(REQUEST, lambda _: None)


async def test_a_wait_can_be_cancelled() -> None:
    model = RetryingModel(FailingModel([transient(50.0)]), RetryPolicy())
    with anyio.fail_after(5), anyio.CancelScope() as scope:

        def cancel(_: Happening) -> None:
            scope.cancel()

        await model.reply(REQUEST, cancel)
    assert scope.cancelled_caught


def test_the_providers_wish_is_honoured_up_to_the_cap() -> None:
    policy = RetryPolicy(max_delay_seconds=60.0)
    assert policy.wait_seconds(transient(7.0), 1) == 7.0
    assert policy.wait_seconds(transient(3600.0), 1) == 60.0


@pytest.mark.parametrize(("failed_tries", "step"), [(1, 0.5), (2, 1.0), (3, 2.0), (20, 60.0)])
def test_without_a_wish_the_wait_doubles_with_jitter(failed_tries: int, step: float) -> None:
    assert step / 2 <= RetryPolicy().wait_seconds(transient(), failed_tries) <= step
