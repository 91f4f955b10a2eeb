"""What a listing shows and searches of a session, kept in its row: PostgreSQL can't be asked to fold case as Python
does, nor to look into JSON that may hold U+0000. Texts that may hold it are stored as JSON strings, which escape it.
"""

import json

from agent_mcp.sessions.profile import Profile
from agent_mcp.store.codec import clean

TITLE_CHARACTERS = 80
_READ_CHARACTERS = 400
"""Of a message; a title is what stands at its beginning."""


def title_of(message: str) -> str:
    """One line of at most 80 characters."""
    return fold(clean(message[:_READ_CHARACTERS]))[:TITLE_CHARACTERS]


def search_text(session_id: str, agent: str, title: str) -> str:
    """What a query is looked for in, by `search_query`."""
    return storable(f"{session_id}\n{agent}\n{title}".casefold())


def search_query(query: str) -> str:
    """What to look for."""
    return storable(fold(clean(query)).casefold())


def agent_of(profile: Profile) -> str:
    """The agent's name as it can be sent."""
    return clean(profile.agent)


def storable(text: str) -> str:
    """PostgreSQL's texts cannot hold U+0000."""
    return text.replace("\0", "\ufffd")


def as_json(text: str) -> str:
    """A text that may hold anything, as it is stored."""
    return json.dumps(text, ensure_ascii=False)


def from_json(text: str | None) -> str:
    """A stored text; empty where there is none."""
    return "" if text is None else json.loads(text)


def fold(text: str) -> str:
    """White space as single spaces."""
    return " ".join(text.split())
