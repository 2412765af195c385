"""What is kept of an answer beside its way to the client, and for whom."""

from __future__ import annotations

from tollway.core.reporting import Report

MOST_BYTES = 4 * 1024 * 1024
"""Of a stream that is kept; longer ones are not taken up where they break off, and nobody is told what they said."""


class Received:
    """The bytes of a stream, as long as they are few enough to be kept."""

    __slots__ = ("_chunks", "_left")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._left = MOST_BYTES

    def add(self, chunk: bytes) -> None:
        """More of it."""
        self._left -= len(chunk)
        if self._left >= 0:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def all(self) -> bytes:
        """All of it; nothing if there was too much."""
        return b"".join(self._chunks)


class Audience:
    """Of one call."""

    __slots__ = ("answer", "redacts", "reports")

    def __init__(self, reports: tuple[Report, ...], *, redacts: bool) -> None:
        self.reports = reports
        self.redacts = redacts
        """Messages and answer are told to none of them."""
        self.answer = Received()
        """What the client gets."""
