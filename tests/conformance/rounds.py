"""The suite's fixtures that need several rounds (`input-required-result-*`): a call is answered by questions, and
comes again with the answers. The state that travels between is sealed by our server, not here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext

from tests.conformance.contents import text_result

Context = ServerRequestContext[Any, Any]
Result = types.CallToolResult | types.InputRequiredResult
Round = Callable[[Context, types.CallToolRequestParams], Result]
Question = types.ElicitRequest | types.CreateMessageRequest | types.ListRootsRequest


def ask(message: str, name: str, kind: str = "string") -> types.ElicitRequest:
    """A question to the user for one field."""
    schema: dict[str, Any] = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt: str) -> types.CreateMessageRequest:
    """A question to the client's model."""
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=100)
    )


def needed(questions: Mapping[str, Question], state: str | None = None) -> types.InputRequiredResult:
    """An answer that asks."""
    return types.InputRequiredResult(input_requests=dict(questions), request_state=state)


def _once(questions: Mapping[str, Question], *, state: str | None = None, done: str = "Thank you.") -> Round:
    """Asks until every answer is there, with the state that was given out."""

    def round_trip(ctx: Context, params: types.CallToolRequestParams) -> Result:
        answers = params.input_responses or {}
        if any(key not in answers for key in questions) or params.request_state != state:
            return needed(questions, state)
        return text_result(f"{done} {' '.join(str(answers[key].model_dump()) for key in questions)}")

    return round_trip


def multi_round(ctx: Context, params: types.CallToolRequestParams) -> Result:
    """input-required-result-multi-round"""
    answers = params.input_responses or {}
    if params.request_state == "round-1" and "step1" in answers:
        return needed({"step2": ask("Step 2: What is your favorite color?", "color")}, "round-2")
    if params.request_state == "round-2" and "step2" in answers:
        return text_result("Both steps are done.")
    return needed({"step1": ask("Step 1: What is your name?", "name")}, "round-1")


def by_capabilities(ctx: Context, params: types.CallToolRequestParams) -> Result:
    """input-required-result-capability-check: asks only for what the client can do."""
    declared = ctx.session.client_capabilities or types.ClientCapabilities()
    questions: dict[str, Question] = {}
    if declared.sampling is not None:
        questions["capital_question"] = sample("What is the capital of France?")
    if declared.elicitation is not None:
        questions["user_name"] = ask("What is your name?", "name")
    return needed(questions) if questions else text_result("Nothing can be asked.")


_NAME = {"user_name": ask("What is your name?", "name")}
_CONFIRM = {"confirm": ask("Please confirm", "ok", "boolean")}
_ROOTS: dict[str, Question] = {"client_roots": types.ListRootsRequest()}

ROUNDS: dict[str, Round] = {
    "test_input_required_result_elicitation": _once(_NAME),
    "test_input_required_result_sampling": _once(
        {"capital_question": sample("What is the capital of France?")}
    ),
    "test_input_required_result_list_roots": _once(_ROOTS),
    "test_input_required_result_request_state": _once(_CONFIRM, state="kept", done="state-ok"),
    "test_input_required_result_multiple_inputs": _once(
        {**_NAME, "greeting": sample("Generate a greeting"), **_ROOTS}, state="kept"
    ),
    "test_input_required_result_multi_round": multi_round,
    "test_input_required_result_tampered_state": _once(_CONFIRM, state="kept"),
    "test_input_required_result_capabilities": by_capabilities,
}
"""Tools by the names that the suite calls."""


def asking_prompt(params: types.GetPromptRequestParams) -> types.GetPromptResult | types.InputRequiredResult:
    """input-required-result-non-tool-request"""
    answer = (params.input_responses or {}).get("user_context")
    if not isinstance(answer, types.ElicitResult):
        return needed({"user_context": ask("What context should the prompt use?", "context")})
    content = types.TextContent(type="text", text=f"Use this context: {answer.content}")
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content)])
