"""What a downstream server says of itself, beside the tools that it lists. Knows nothing of what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """A server that is up."""

    server: str
    digests: Mapping[str, str]
    """What each of its definitions is known by, by its own names; one object for as long as it lists the same."""
    notices: Sequence[str] = ()
    """What people should know of tools that are there."""
    instructions: str = ""
    """For whoever uses its tools, in its own words."""
