"""Server-sent events (WHATWG HTML 9.2.6), read from bytes that may be split anywhere."""

from __future__ import annotations

import re

Event = tuple[bytes, bytes]
"""Its `event` field, empty if it has none, and its data."""

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")


class EventReader:
    """Cuts a stream into events."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete; comments and events without data are left out."""
        if self._rest:
            data = self._rest + data
        events: list[Event] = []
        start = 0
        if b"\r" not in data:  # nearly always
            while (end := data.find(b"\n\n", start)) >= 0:
                event = _read(data[start:end].split(b"\n"))
                if event is not None:
                    events.append(event)
                start = end + 2
        else:
            while data.startswith(b"data: ", start):  # one line, as nearly all are
                end = data.find(b"\r\n\r\n", start)
                if end < 0 or data.find(b"\n", start, end) >= 0:
                    break
                events.append((b"", data[start + 6 : end]))
                start = end + 4
            for match in _END.finditer(data, start) if start < len(data) else ():
                event = _read(_LINE.split(data[start : match.start()]))
                if event is not None:
                    events.append(event)
                start = match.end()
        self._rest = data[start:]
        return events

    @property
    def rest(self) -> bytes:
        """What has come since the last event's end."""
        return self._rest

    def end(self) -> list[Event]:
        """The body has ended: the last event, if its blank line is missing."""
        rest, self._rest = self._rest, b""
        event = _read(_LINE.split(rest)) if rest.strip() else None
        return [event] if event is not None else []


def _read(lines: list[bytes]) -> Event | None:
    name = b""
    data: bytes | None = None
    for line in lines:
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            data = value if data is None else data + b"\n" + value
        elif line.startswith(b"event:"):
            name = line[6:].strip()
    return (name, data) if data is not None else None
