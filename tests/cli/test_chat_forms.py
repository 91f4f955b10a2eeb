"""A server's form, filled in at a prompt."""

from typing import Any

import pytest

from agent_mcp.cli.chat_forms import fill_in
from agent_mcp.sessions.events import InputAsked, InputGiven

pytestmark = pytest.mark.anyio

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name"},
        "age": {"type": "integer"},
        "size": {"type": "string", "enum": ["s", "m"], "default": "m"},
        "gift": {"type": "boolean"},
        "price": {"type": "number"},
        "tags": {"type": "array"},
        "odd": True,
    },
    "required": ["name", "size", "age"],
}


async def fill(*lines: str, schema: dict[str, Any] = FORM, url: str = "") -> tuple[InputGiven, list[str]]:
    """What comes of these lines, and the prompts."""
    left, prompts = list(lines), list[str]()

    async def read(prompt: str) -> str | None:
        prompts.append(prompt)
        return left.pop(0) if left else None

    asked = InputAsked("i1", "c1", "s", "?", 1e12, schema, url)
    return await fill_in(asked, read), prompts


async def test_each_field_is_asked_for_and_read_as_its_type() -> None:
    given, prompts = await fill("y", " Ada ", "36", "s", "no", "1.5", "a, b", "x")
    content = {
        "name": "Ada",
        "age": 36,
        "size": "s",
        "gift": False,
        "price": 1.5,
        "tags": ["a", "b"],
        "odd": "x",
    }
    assert given == InputGiven("i1", "accept", content)
    assert prompts[1] == "name (Your name): "
    assert 'one of ["s", "m"]; empty: "m"' in prompts[3]


async def test_what_may_be_left_empty_is_left_out_and_what_does_not_fit_is_asked_for_again() -> None:
    given, _ = await fill("what?", "y", "", "Ada", "old", "36", "xl", "", "maybe", "", "", "", "")
    assert given.content == {"name": "Ada", "age": 36}


@pytest.mark.parametrize(("lines", "action"), [(("n",), "decline"), ((), "cancel"), (("y", "Ada"), "cancel")])
async def test_a_no_declines_and_the_end_of_the_lines_decides_nothing(
    lines: tuple[str, ...], action: str
) -> None:
    given, _ = await fill(*lines)
    assert (given.action, given.content) == (action, None)


async def test_an_address_has_no_fields() -> None:
    given, prompts = await fill("y", schema={}, url="https://x")
    assert (given.action, given.content, len(prompts)) == ("accept", {}, 1)
