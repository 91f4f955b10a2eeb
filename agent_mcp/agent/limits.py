"""Counting steps. Budgets of tokens, money and time are policy and live in `sessions.policy`."""

from dataclasses import dataclass

from agent_mcp.agent.messages import StopReason


@dataclass(frozen=True, slots=True)
class StepLimit:
    """At most `max_steps` replies that may call tools; then one closing reply."""

    max_steps: int

    async def closing(self, steps: int) -> StopReason | None:
        """`max_steps` once the turn has had that many replies."""
        return "max_steps" if steps >= self.max_steps else None

    async def overrun(self) -> StopReason | None:
        """A closing reply may always be asked for."""
        return None
