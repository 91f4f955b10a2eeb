"""Server-sent events out of bytes, as name and raw data. Knows no JSON, no network and no provider.

Format: the HTML standard's event stream, section 9.2.6, with line ends LF and CRLF (nobody sends a bare CR). The
SDKs' own readers make several objects and a generator's turn of each event, which is half of what a step costs.
"""

Event = tuple[bytes, bytes]
"""Name (may be empty) and data."""


class EventReader:
    """Takes chunks as they come and gives the events that are whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        events: list[Event] = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line:
                self._take(line)
                continue
            if self._data:
                events.append((self._name, b"\n".join(self._data)))
            self._name, self._data = b"", []
        return events

    def end(self) -> list[Event]:
        """The last event, if the stream ended without the blank line that closes it: some servers leave it out."""
        return self.feed(b"\n\n")

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value
