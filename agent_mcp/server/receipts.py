"""What is to be done once the answer to a request has been sent, and not before. Knows no transport."""

import logging
from collections.abc import Awaitable, Callable

import anyio

from agent_mcp.errors import PublicError

log = logging.getLogger(__name__)

Deed = Callable[[], Awaitable[None]]


async def do_now(deed: Deed) -> None:
    """For callers of whom nobody tells when they have their answer."""
    await deed()


class Receipt:
    """Of one request; its transport says when the answer is on its way to the client."""

    def __init__(self) -> None:
        self._deeds: list[Deed] = []

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self._deeds)

    def then(self, deed: Deed) -> None:
        """Do this when the answer has been sent; never, if it is not."""
        self._deeds.append(deed)

    def void(self) -> None:
        """The request was cancelled: whoever made it does not look at an answer that is on its way."""
        self._deeds.clear()

    async def sent(self) -> None:
        """The answer has been sent. Whatever ends meanwhile, what follows from that is done first."""
        deeds, self._deeds = self._deeds, []
        with anyio.CancelScope(shield=True):
            for deed in deeds:
                try:
                    await deed()
                except PublicError as error:
                    log.warning("an answer was sent, and that could not be written down: %s", error)
                except Exception:
                    # It runs among the tasks of a transport, which one bad deed must not end.
                    log.exception("what follows from an answer failed")
