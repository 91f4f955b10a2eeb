"""Bytes as they come, cut into lines of bounded length. Knows neither where they come from nor what they say."""

from collections.abc import Iterator


class LineCutter:
    """Looks at each byte once. A line longer than `most_bytes` comes as its beginning, one byte too long, as soon as
    that is there; its rest is dropped."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rest = bytearray()
        self._is_dropping = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that the chunk ends, without their ends."""
        first, *more = chunk.split(b"\n")
        yield from self._add(first)
        for piece in more:
            if not self._is_dropping:
                yield bytes(self._rest)
            self._rest, self._is_dropping = bytearray(), False
            yield from self._add(piece)

    def end(self) -> Iterator[bytes]:
        """A last line that was not ended."""
        if self._rest:
            yield bytes(self._rest)

    def _add(self, piece: bytes) -> Iterator[bytes]:
        if self._is_dropping:
            return
        self._rest += piece
        if len(self._rest) > self._most_bytes:
            yield bytes(self._rest[: self._most_bytes + 1])
            self._rest, self._is_dropping = bytearray(), True
