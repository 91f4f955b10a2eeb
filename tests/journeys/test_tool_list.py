"""What a host pays for before anything is asked: the published tool list, as it goes over the wire."""

import json
from pathlib import Path

import anyio
import pytest

from tests.support.host import Era, Json, open_host
from tests.support.journey import open_scene

pytestmark = pytest.mark.anyio

SNAPSHOT = Path(__file__).with_name("tools.json")
TOOLS_CHARACTERS = 6_000
ANSWER_CHARACTERS = 12_000


def compact(value: object) -> str:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_the_tool_list_is_small_and_as_it_was(tmp_path: Path, era: Era) -> None:
    with anyio.fail_after(30):
        async with open_scene(tmp_path, {}) as scene, open_host(scene.home, era) as host:
            answers = [json.loads(line) for line in bytes(host.server.stdout).splitlines()]
    (listed,) = [answer["result"] for answer in answers if "tools" in answer.get("result", {})]
    tools: list[Json] = listed["tools"]
    assert tools == json.loads(SNAPSHOT.read_text()), (
        f"if this is meant, write to {SNAPSHOT.name}: {compact(tools)}"
    )
    needed = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    assert len(compact(needed)) <= TOOLS_CHARACTERS
    assert len(compact(listed)) <= ANSWER_CHARACTERS
