"""Time that passes when a test says so."""

from __future__ import annotations

from datetime import datetime


class FakeClock:
    """Epoch seconds; call it to read."""

    def __init__(self, now: float | str = "2026-01-14T10:17:23+00:00") -> None:
        self.now = now if isinstance(now, float) else datetime.fromisoformat(str(now)).timestamp()

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
