"""Requests of a server to us: which of our own running requests each belongs to, and its answer.

A server asks in the middle of a call, and who is to answer depends on whose call that is. Over HTTP the stream tells.
Elsewhere it is certain only while the calls of one session alone run; where it is not, nobody is asked: a question
must never reach the wrong person. Knows no wire, and no method but the one that has a polite no.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import anyio

from agent_mcp.downstream.faults import RpcError
from agent_mcp.downstream.wire import JsonObject
from agent_mcp.sessions.patience import Patience

_log = logging.getLogger(__name__)

METHOD_NOT_FOUND = -32601
_ELICIT = "elicitation/create"


class Responder(Protocol):
    """Answers what the server asks while one of our requests runs."""

    @property
    def owner(self) -> str:
        """For whom the request is made."""
        ...

    async def respond(self, method: str, params: JsonObject) -> JsonObject:
        """The result.

        Raises:
            RpcError: there is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Errand:
    """A request of ours in the middle of which the server may ask."""

    responder: Responder
    patience: Patience
    """Its limit of time, which stands still while the server waits for us."""


@dataclass(slots=True, eq=False)
class _Question:
    """A request of the server that is being answered."""

    errand: Errand | None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    withdrawn: bool = False


class Inbound:
    """What one server asks over one connection."""

    def __init__(
        self, send: Callable[[JsonObject], Awaitable[None]], fixed: Mapping[str, JsonObject] | None = None
    ) -> None:
        """`fixed`: results by method that are the same whatever call the request belongs to."""
        self._send = send
        self._fixed: dict[str, JsonObject] = {"ping": {}, **(fixed or {})}
        self._running: dict[int, Errand] = {}
        self._abandoned: dict[int, str] = {}
        """Owners of requests that were given up while the server may still be at them, by number."""
        self._questions: dict[str, _Question] = {}
        """By the server's own id."""

    def begin(self, number: int, errand: Errand) -> None:
        """Our request of this number runs."""
        self._running[number] = errand

    def end(self, number: int, *, answered: bool) -> None:
        """It is over, and with it the server's questions in the middle of it."""
        errand = self._running.pop(number, None)
        if errand is None:
            return
        if not answered:
            self._abandoned[number] = errand.responder.owner
        for question in self._questions.values():
            if question.errand is errand:
                question.scope.cancel()

    def answered_late(self, number: int) -> None:
        """The server is done with a request that was given up."""
        self._abandoned.pop(number, None)

    async def respond(self, message: JsonObject, stream: int | None) -> None:
        """Answer a request; `stream` is the number of our request on whose stream it came, if the wire tells."""
        number, method, params = message["id"], str(message["method"]), message.get("params")
        asked = cast("JsonObject", params) if isinstance(params, dict) else {}
        question = self._questions[repr(number)] = _Question(self._errand(stream))
        answer = _no(method)
        try:
            with question.scope:
                answer = await self._answer(method, asked, question)
        except RpcError as error:
            answer = {"error": {"code": error.code, "message": error.message}}
        except Exception:
            # One question must not end the connection of all sessions.
            _log.exception("%s could not be answered", method)
        finally:
            self._questions.pop(repr(number), None)
        if not question.withdrawn:
            await self._send({"jsonrpc": "2.0", "id": number, **answer})

    def withdraw(self, params: object) -> None:
        """The server cancels a request of its own: no answer is wanted."""
        number = cast("JsonObject", params).get("requestId") if isinstance(params, dict) else None
        if question := self._questions.get(repr(number)):
            question.withdrawn = True
            question.scope.cancel()

    def _errand(self, stream: int | None) -> Errand | None:
        if stream is not None:
            return self._running.get(stream)
        owners = {errand.responder.owner for errand in self._running.values()} | set(self._abandoned.values())
        if not self._running or len(owners) != 1:
            return None
        # Of several calls of one session it does not matter to the person which of them asks.
        asking = [question.errand for question in self._questions.values()]
        return min(self._running.values(), key=asking.count)

    async def _answer(self, method: str, params: JsonObject, question: _Question) -> JsonObject:
        if method in self._fixed:
            return {"result": self._fixed[method]}
        if question.errand is None:
            _log.info("%s is not answered: it is not certain whose call it belongs to", method)
            return _no(method)
        with question.errand.patience.held():
            return {"result": await question.errand.responder.respond(method, params)}


def _no(method: Any) -> JsonObject:
    """What a request gets that nobody can answer: nobody has said no to a question, nobody was asked."""
    if method == _ELICIT:
        return {"result": {"action": "cancel"}}
    return {"error": {"code": METHOD_NOT_FOUND, "message": f"this client does not support {method} here"}}
