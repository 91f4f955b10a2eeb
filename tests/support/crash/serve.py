"""`agent-mcp` as it is, but killed at the write that `CRASH_AT` names: `python -m tests.support.crash.serve serve`.

`CRASH_AT` is `NUMBER before|after`, `CRASH_NOTE` the file for the boundary. The whole server runs: stdio, hub, models.
"""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, cast

from agent_mcp import bootstrap
from agent_mcp.__main__ import main as agent_mcp
from agent_mcp.sessions.ports import SessionStore
from agent_mcp.store.open import open_store
from tests.support.crash.mortal import Point, mortal


def crash_environ(point: Point, note: Path) -> dict[str, str]:
    """What tells a server where to die."""
    return {"CRASH_AT": f"{point.write} {point.moment}", "CRASH_NOTE": str(note)}


@asynccontextmanager
async def _open_mortal(*args: Any, **kwargs: Any) -> AsyncGenerator[SessionStore]:
    write, moment = os.environ["CRASH_AT"].split()
    point = Point(int(write), cast('Literal["before", "after"]', moment))
    async with open_store(*args, **kwargs) as store:
        yield mortal(point, Path(os.environ["CRASH_NOTE"]))(store)


def main() -> int:
    """`agent-mcp` with a mortal store."""
    bootstrap.open_store = _open_mortal
    return agent_mcp()


if __name__ == "__main__":
    sys.exit(main())
