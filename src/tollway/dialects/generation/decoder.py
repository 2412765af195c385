"""What decoders of server-sent events share: cutting the bytes, and reading one event after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tollway.dialects.generation.answer import Event
from tollway.dialects.sse import EventReader


class EventStreamDecoder(ABC):
    """Reads one stream. A format says what each of its events means."""

    def __init__(self, vendor: str) -> None:
        """`vendor` names it in errors."""
        self._vendor = vendor
        self._reader = EventReader()
        self.is_done = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        for name, document in self._reader.feed(data):
            self.read(name, document, events)
        return events

    def end(self) -> list[Event]:
        """The body has ended: what a last event without its blank line says."""
        events: list[Event] = []
        for name, document in self._reader.end():
            self.read(name, document, events)
        return events

    @abstractmethod
    def read(self, name: bytes, document: bytes, events: list[Event]) -> None:
        """One event: its `event` field and its data. What it means is added to `events`."""
