"""How many child processes may run at once, and which of them goes when one more is needed."""

from collections.abc import Collection

from agent_mcp.downstream.connection import Connection
from agent_mcp.downstream.faults import UnavailableError


class Children:
    """The cap over all connections that are processes of ours. Those of one session go first, then the least used."""

    def __init__(self, connections: Collection[Connection], most: int | None) -> None:
        """`connections`: all there are, as they come and go. `most` None: no cap."""
        self._connections = connections
        self._most = most

    def admit(self, wanted: Connection) -> None:
        """Make room for one more process; the one that goes may need a second more to end.

        Raises:
            UnavailableError: there are as many as there may be, and all of them work.
        """
        if self._most is None or not wanted.server.target.is_process:
            return
        running = [each for each in self._connections if each.server.target.is_process and each.occupied]
        excess = len(running) - self._most + 1
        for idle in sorted(filter(_is_idle, running), key=_keenness)[: max(0, excess)]:
            if idle.live is not None:
                idle.recycle(idle.live)
                excess -= 1
        if excess > 0:
            raise UnavailableError(
                f"{self._most} servers run as child processes already, and all of them work; "
                "wait for one to end its calls, or raise server.max_children in the config"
            )


def _is_idle(connection: Connection) -> bool:
    return connection.live is not None and not connection.live.running


def _keenness(connection: Connection) -> tuple[bool, float]:
    """Who goes first: what serves one session alone, and of these what was used longest ago."""
    assert connection.live is not None
    return connection.server.entry.scope != "session", connection.live.used_at
