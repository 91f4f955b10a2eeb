"""What work has cost, in figures. Pure; budgets over them are policy and live in `sessions.budgets`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """The figures of some replies and calls."""

    steps: int = 0
    """Replies."""
    tool_calls: int = 0
    """Calls that were not refused."""
    input_tokens: int = 0
    """All input, cached tokens included."""
    output_tokens: int = 0
    cost_usd: float = 0.0
    """Of the replies whose price is known."""
    seconds: float = 0.0
    """Time that replies and calls took; waiting for people is not in it."""
    unpriced: int = 0
    """Replies whose price is not known."""

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: "Spent") -> "Spent":
        """The sum."""
        return Spent(
            steps=self.steps + other.steps,
            tool_calls=self.tool_calls + other.tool_calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            seconds=self.seconds + other.seconds,
            unpriced=self.unpriced + other.unpriced,
        )

    def beyond(self, other: "Spent") -> "Spent":
        """What is more here than there; nothing is ever less than zero."""
        return Spent(
            steps=max(0, self.steps - other.steps),
            tool_calls=max(0, self.tool_calls - other.tool_calls),
            input_tokens=max(0, self.input_tokens - other.input_tokens),
            output_tokens=max(0, self.output_tokens - other.output_tokens),
            cost_usd=max(0.0, self.cost_usd - other.cost_usd),
            seconds=max(0.0, self.seconds - other.seconds),
            unpriced=max(0, self.unpriced - other.unpriced),
        )


@dataclass(frozen=True, slots=True)
class Bill:
    """What a turn of another agent, which one of our calls ran or waited for, has spent so far."""

    turn: str
    """Which turn. A later bill for the same one holds what the earlier one held."""
    spent: Spent
