"""Agents under agents: who called whom, carried along so that no chain runs on for ever, and what it may spend.

A session's tool calls carry the names of the session and of its ancestors; an agent-mcp that is called starts its
sessions under them. Depth is bounded by that, and by what a child process is told in its environment, since a
process-wide counter would refuse wide trees and miss long chains over several processes.
"""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, cast

from agent_mcp.agent.spending import Bill, Spent
from agent_mcp.errors import RecursionLimitError
from agent_mcp.sessions.ports import SessionRecord
from agent_mcp.sessions.profile import CAP_NAMES, Caps

META_PREFIX = "io.github.agent-mcp/"
"""By the rules for `_meta` keys: a reversed domain, then a name."""
ANCESTRY_KEY = f"{META_PREFIX}ancestry"
SESSION_KEY = f"{META_PREFIX}sessionId"
CALL_KEY = f"{META_PREFIX}idempotencyKey"
"""Of a call: the same if it is sent again."""
ALLOWANCE_KEY = f"{META_PREFIX}budget"
"""Of a call: what the turn that it runs may spend, by the names of `Caps`."""
BILL_KEY = f"{META_PREFIX}spent"
"""Of a result: what its turn has spent so far, by the names of `Spent`, and under `turn` which one it is."""
SERVER_NAME = "agent-mcp"
"""What a server is called that knows these keys."""
DEPTH_VARIABLE = "AGENT_MCP_DEPTH"
MAX_DEPTH = 5
"""So many agents may stand above a new session."""
MOST = 1e12
"""Larger figures, of tokens as of dollars, are nobody's: sums of them would fit neither the store nor JSON."""
_TURN_CHARACTERS = 200


def chain_name(session_id: str) -> str:
    """A new session's name in a chain: its id alone may be taken in another store too."""
    return f"{session_id}@{secrets.token_hex(4)}"


def ancestry_of(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """The sessions above a call, outermost first, as its `_meta` names them; whatever is no name is left out."""
    names: object = meta.get(ANCESTRY_KEY)
    if not isinstance(names, list):
        return ()
    return tuple(name for name in cast("list[object]", names[: MAX_DEPTH + 1]) if isinstance(name, str))


def call_key_of(meta: Mapping[str, Any]) -> str | None:
    """The name that a call keeps when it is sent again; only agents of ours have it mean something."""
    key: object = meta.get(CALL_KEY)
    return key if isinstance(key, str) and key and ancestry_of(meta) else None


def may_spend(tool_name: str) -> bool:
    """Whether a call of an agent-mcp's tool may have a model work; by its name alone, whatever server it is on."""
    return tool_name in ("start_session", "send_message", "approve")


def allowance_of(meta: Mapping[str, Any]) -> Caps:
    """What a call's `_meta` allows its turn to spend; whatever is no number from 0 to `MOST` is left out."""
    given: object = meta.get(ALLOWANCE_KEY)
    if not isinstance(given, dict):
        return Caps()
    limits = {name: _number(cast("dict[str, Any]", given).get(name)) for name in CAP_NAMES}
    return Caps(**{name: value for name, value in limits.items() if value is not None})


def to_bill(turn: str, spent: Spent) -> dict[str, Any]:
    """A bill as a result's `_meta` carries it."""
    known = None if spent.unpriced else spent.cost_usd
    figures = {name: getattr(spent, name) for name in _BILLED}
    return {"turn": turn, **figures, "cost_usd": known, "unpriced": spent.unpriced}


def bill_of(meta: object, server: str) -> Bill | None:
    """The bill in a result's `_meta`; None if there is none. What is no number from 0 to `MOST` counts as 0."""
    given = cast("dict[str, Any]", meta).get(BILL_KEY) if isinstance(meta, dict) else None
    if not isinstance(given, dict):
        return None
    bill = cast("dict[str, Any]", given)
    figures = {name: int(_number(bill.get(name)) or 0) for name in (*_BILLED, "unpriced")}
    turn = f"{server}/{bill.get('turn')}"[:_TURN_CHARACTERS]
    return Bill(turn, Spent(**figures, cost_usd=_number(bill.get("cost_usd")) or 0.0))


_BILLED = ("steps", "tool_calls", "input_tokens", "output_tokens")


def _number(value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= MOST else None


def session_of_call(key: str) -> str:
    """The id of a session that a call starts without naming one: whoever knows the call finds it."""
    return f"s-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def depth_of(environ: Mapping[str, str]) -> int:
    """How many agent-mcp processes stand above this one."""
    depth = environ.get(DEPTH_VARIABLE, "")
    return int(depth) if depth.isdecimal() else 0


def check_depth(ancestry: tuple[str, ...], depth: int) -> None:
    """Raises:
    RecursionLimitError: too many agents stand above a session that is to start.
    """
    if max(len(ancestry), depth) >= MAX_DEPTH:
        raise RecursionLimitError(
            f"{MAX_DEPTH} agents stand above this session already, which is the limit.",
            hint="Let one agent do the work, or look for a config whose servers lead back to itself.",
        )


def check_no_circle(record: SessionRecord, ancestry: tuple[str, ...]) -> None:
    """Raises:
    RecursionLimitError: the session is one of those that this call comes from: it would wait for itself.
    """
    if record.profile.ancestry and record.profile.ancestry[-1] in ancestry:
        raise RecursionLimitError(
            f"Session {record.id} is waiting for this very call: it cannot be sent a message from under itself.",
            hint="Start another session.",
        )
