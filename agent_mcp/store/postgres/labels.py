"""What a listing shows and searches of a session, as `store.listing` makes it and PostgreSQL can hold it.

Its texts cannot hold U+0000. What must come back as it was is stored as a JSON string, which escapes that; what is
only sought has another character in its place. Folded here and not by the database, which folds case in another way.
"""

import json

from agent_mcp.sessions.profile import Profile
from agent_mcp.store.codec import clean
from agent_mcp.store.listing import folded, to_sought


def search_text(session_id: str, agent: str, title: str | None = None) -> str:
    """What a query is looked for in, by `search_query`."""
    return storable(to_sought(session_id, agent, title))


def search_query(query: str) -> str:
    """What to look for."""
    return storable(folded(clean(query)))


def agent_of(profile: Profile) -> str:
    """The agent's name as it can be sent."""
    return clean(profile.agent)


def storable(text: str) -> str:
    """The text without U+0000."""
    return text.replace("\0", "\ufffd")


def as_json(text: str) -> str:
    """A text that may hold anything, as it is stored."""
    return json.dumps(text, ensure_ascii=False)


def from_json(text: str | None) -> str:
    """A stored text; empty where there is none."""
    return "" if text is None else json.loads(text)
