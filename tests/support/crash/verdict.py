"""Judges a killed turn against an undisturbed one: nothing lost, nothing twice, no side effect silently repeated.

The log must be the undisturbed one but for the calls that were with their server at the kill; what becomes of those
is a rule of their kind and of the server's `interrupted`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.support.crash.mortal import Boundary
from tests.support.crash.turn import STEPS, TOOLS, Policy, Row, Story, decision


class Call(NamedTuple):
    """A call by its place in the turn, whatever its id."""

    tool: str
    item: int


Fate = str
"""`ok`, or the code of a failed result."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a story; all empty where nothing is."""

    boundary: str
    """Where it was killed, in words."""
    in_flight: Sequence[str]
    """The calls that were with their server, each with what became of it."""
    lost: list[str] = field(default_factory=list[str])
    duplicated: list[str] = field(default_factory=list[str])
    repeated: list[str] = field(default_factory=list[str])
    different: list[str] = field(default_factory=list[str])

    @property
    def faults(self) -> list[str]:
        """All of them."""
        return [*self.lost, *self.duplicated, *self.repeated, *self.different]


_WORDS: dict[Fate, str] = {"INTERRUPTED": "told as interrupted", "TOOL_DENIED": "asked, denied"}


def judge(story: Story, policy: Policy) -> Verdict:
    """Compare a story with what must be."""
    names = _names(story.log)
    broken = _broken_off(story.at_kill, names)
    fates = {names[row.data["call_id"]]: _fate(row) for row in _of_kind(story.log, "tool_result")}
    in_flight = [f"{call.tool}: {_in_words(call, fates, story)}" for call in broken]
    verdict = Verdict(_boundary_in_words(story.boundary, names), in_flight)
    verdict.lost.extend(_lost(story))
    verdict.duplicated.extend(_duplicated(story, names))
    for call in sorted(names.values()):
        _judge_call(call, policy if call in broken else None, story, fates, verdict)
    verdict.different.extend(_different(story, policy, broken))
    return verdict


def _names(log: Sequence[Row]) -> dict[str, Call]:
    """The call of each id."""
    return {
        part["id"]: Call(part["name"].removeprefix("t__"), part["arguments"]["item"])
        for row in _of_kind(log, "model_reply")
        for part in row.data["parts"]
        if "arguments" in part
    }


def _of_kind(log: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in log if row.kind == kind]


def _fate(row: Row) -> Fate:
    return row.data["code"] or ("error" if row.data["is_error"] else "ok")


def _broken_off(at_kill: Sequence[Row], names: dict[str, Call]) -> list[Call]:
    """Calls that the dead process had written down as sent and had no result of."""
    answered = {row.data["call_id"] for row in _of_kind(at_kill, "tool_result")}
    started = [row.data["call_id"] for row in _of_kind(at_kill, "tool_started")]
    return [names[call_id] for call_id in started if call_id not in answered]


def _lost(story: Story) -> Iterator[str]:
    """What was in the log and is not, or never came."""
    if list(story.log[: len(story.at_kill)]) != list(story.at_kill):
        yield "the log that the kill left is not the beginning of the log at the end"
    if [row.seq for row in story.log] != list(range(1, len(story.log) + 1)):
        yield "numbers are missing"
    for kind, number in (
        ("user_message", 1),
        ("model_reply", STEPS + 1),
        ("turn_ended", 1),
        ("delivered", 1),
    ):
        if len(_of_kind(story.log, kind)) < number:
            yield f"{kind}: {len(_of_kind(story.log, kind))} of {number}"


def _duplicated(story: Story, names: dict[str, Call]) -> Iterator[str]:
    results = Counter(row.data["call_id"] for row in _of_kind(story.log, "tool_result"))
    for call_id, times in results.items():
        if times > 1:
            yield f"{names[call_id]} has {times} results"
    for kind, number in (
        ("user_message", 1),
        ("model_reply", STEPS + 1),
        ("turn_ended", 1),
        ("delivered", 1),
    ):
        if len(_of_kind(story.log, kind)) > number:
            yield f"{kind}: {len(_of_kind(story.log, kind))} times"
    recorded = len(_of_kind(story.at_kill, "model_reply"))
    # A reply that was on its way at the kill is asked for again; one in the log never.
    if story.outside["model"] - story.asked_before > STEPS + 1 - recorded:
        yield "a recorded reply was asked for again"


def _judge_call(
    call: Call, policy: Policy | None, story: Story, fates: dict[Call, Fate], verdict: Verdict
) -> None:
    """One call: its result, and how often it took effect. `policy` is None unless the kill broke it off."""
    times = story.outside[f"{call.tool} {call.item}"]
    expected, at_least, at_most = _rule(call, policy)
    if call not in fates:
        verdict.lost.append(f"{call} has no result")
    elif fates[call] != expected:
        verdict.different.append(f"{call} ended {fates[call]} and not {expected}")
    if times < at_least:
        verdict.lost.append(f"{call} took effect {times} times")
    if times > at_most:
        verdict.repeated.append(f"{call} took effect {times} times")


def _rule(call: Call, policy: Policy | None) -> tuple[Fate, int, int]:
    """The fate of a call, and how often it takes effect at the least and at the most."""
    if policy is None:
        return "ok", 1, 1
    if call.tool != "book" or policy == "retry":
        return "ok", 1, 2
    if policy == "ask":
        return ("ok", 1, 2) if decision(call.item) == "allow" else ("TOOL_DENIED", 0, 1)
    return "INTERRUPTED", 0, 1


def _different(story: Story, policy: Policy, broken: Sequence[Call]) -> Iterator[str]:
    """The log beside an undisturbed one, without ids, times and the order of calls that run side by side."""
    steps: dict[int, set[Call]] = defaultdict(set)
    for call in _names(story.log).values():
        steps[call.item].add(call)
    if dict(steps) != {item: {Call(tool, item) for tool in TOOLS} for item in range(STEPS)}:
        yield "other calls than in an undisturbed turn"
    asked = [call for call in broken if call.tool == "book"] if policy == "ask" else []
    again = [call for call in asked if decision(call.item) == "allow"]
    expected = Counter(_undisturbed()) + Counter(
        approval_asked=len(asked), approval_given=len(asked), tool_started=len(again)
    )
    found = Counter(row.kind for row in story.log)
    if found != expected:
        yield f"events {dict(found)} and not {dict(expected)}"
    order = [row.kind for row in story.log if row.kind in ("model_reply", "turn_ended", "delivered")]
    if order != ["model_reply"] * (STEPS + 1) + ["turn_ended", "delivered"]:
        yield f"another order: {order}"


def _undisturbed() -> dict[str, int]:
    calls = STEPS * len(TOOLS)
    once = dict.fromkeys(("user_message", "tools_fixed", "turn_ended", "delivered"), 1)
    return {**once, "model_reply": STEPS + 1, "tool_started": calls, "tool_result": calls}


def _boundary_in_words(boundary: Boundary | None, names: dict[str, Call]) -> str:
    if boundary is None:
        return "undisturbed"
    tool = f" of {names[boundary.call_id].tool}" if boundary.call_id else ""
    return f"{boundary.moment} {boundary.what}{tool}"


def _in_words(call: Call, fates: dict[Call, Fate], story: Story) -> str:
    fate = fates.get(call, "no result")
    if fate == "ok":
        return "run again" if story.outside[f"{call.tool} {call.item}"] > 1 else "run"
    return _WORDS.get(fate, fate)
