"""What happens in a running turn, for whoever listens in this process now. Nothing here is stored."""

from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager

from agent_mcp.agent.events import Emit, Happening


class LiveFeed:
    """Passes the happenings of each session to its listeners."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, list[Emit]] = defaultdict(list)

    def emit_for(self, session_id: str) -> Emit:
        """What a turn of this session tells its happenings to."""

        def emit(happening: Happening) -> None:
            for listener in tuple(self._listeners.get(session_id, ())):
                listener(happening)

        return emit

    @contextmanager
    def listening(self, session_id: str, listener: Emit) -> Generator[None]:
        """Call `listener` for each happening of the session; it must neither block nor raise."""
        self._listeners[session_id].append(listener)
        try:
            yield
        finally:
            self._listeners[session_id].remove(listener)
            if not self._listeners[session_id]:
                del self._listeners[session_id]
