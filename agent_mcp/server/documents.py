"""What resources say: a session as Markdown, one of its steps as JSON, an agent as Markdown. Pure."""

import json
from typing import Any

from agent_mcp.agent.messages import Media, Text
from agent_mcp.server.results import timestamp, usage_view
from agent_mcp.sessions.budgets import UNITS
from agent_mcp.sessions.cards import AgentCard, JudgedTool
from agent_mcp.sessions.log import CallState, StepState
from agent_mcp.sessions.profile import Budget, Caps
from agent_mcp.sessions.reports import SessionSummary
from agent_mcp.sessions.transcript import as_markdown, call_view, cut, entries, unsplit

TRANSCRIPT_CHARACTERS = 1_000_000
"""A longer transcript is cut: a host takes a resource whole."""
_DESCRIPTION_CHARACTERS = 200


def transcript_document(summary: SessionSummary) -> str:
    """A whole session, as a person reads it."""
    record = summary.record
    head = (
        f"# Session {record.id}\n\n"
        f"- Agent: {record.profile.agent or 'none by name'}\n"
        f"- Model: {record.profile.model}\n"
        f"- Status: {summary.status}, {summary.turns} turns, {summary.steps} steps\n"
        f"- Updated: {timestamp(summary.updated_at)}"
    )
    body = as_markdown(unsplit(entries(summary.state, "full")))
    if len(body) > TRANSCRIPT_CHARACTERS:
        body = f"{body[:TRANSCRIPT_CHARACTERS]}\n\n[cut here; the tool summary has the rest, in pages]"
    return f"{head}\n\n{body}\n" if body else f"{head}\n"


def step_document(session_id: str, step: StepState) -> str:
    """One reply of the model with its calls, their whole arguments and results, as JSON."""
    return json.dumps(
        {
            "session_id": session_id,
            "step_number": step.number,
            "turn": step.turn,
            "finished": step.finished,
            "text": step.reply.text,
            "model": step.reply.model,
            "usage": usage_view(step.reply.usage),
            "tool_calls": [_call(call) for call in step.calls],
        },
        ensure_ascii=False,
        indent=2,
    )


def _call(call: CallState) -> dict[str, Any]:
    view = call_view(call, whole=True)
    if call.result is None:
        return {**view, "result": None}
    content = [_content(part) for part in call.result.content]
    return {**view, "result": {"is_error": call.result.is_error, "content": content}}


def _content(part: Text | Media) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "media", "mime_type": part.mime_type, "data": part.data}


def agent_document(card: AgentCard) -> str:
    """What an agent is for and which tools it may use."""
    profile = card.profile
    facts = [
        f"- Model: {profile.model or 'the default'}",
        f"- Servers: {', '.join(profile.servers) or 'none'}",
        f"- At most {profile.max_steps} steps a turn",
        *_budget(profile.budget),
    ]
    sections = [
        f"# {profile.agent}",
        profile.description,
        "\n".join(facts),
        "## Tools",
        "\n".join(_tool(judged) for judged in card.tools) or "None.",
    ]
    if card.warnings:
        sections += ["## Warnings", "\n".join(f"- {warning}" for warning in card.warnings)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _budget(budget: Budget) -> list[str]:
    stretches = zip(("session", "turn", "day"), budget.stretches, strict=True)
    return [f"- Budget of a {name}: {', '.join(_limits(caps))}" for name, caps in stretches if caps.limits]


def _limits(caps: Caps) -> list[str]:
    amounts = [(amount, UNITS[name]) for name, amount in caps.limits.items()]
    return [f"{amount:g} {unit}" if amount < 1e6 else f"{amount:.0f} {unit}" for amount, unit in amounts]


def _tool(judged: JudgedTool) -> str:
    note = {"run": "", "ask": " (a person is asked first)", "deny": " (denied)"}[judged.verdict]
    about = cut(" ".join(judged.tool.description.split()), _DESCRIPTION_CHARACTERS)
    return f"- `{judged.tool.name}`{note}: {about}" if about else f"- `{judged.tool.name}`{note}"
